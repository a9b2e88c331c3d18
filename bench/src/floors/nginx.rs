//! nginx and a file of one KiB.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use testkit::{Folder, Process, Program, free_address};

/// A running nginx that serves `/` from a file.
pub struct Static {
    process: Process,
    /// The address at which it listens.
    pub address: SocketAddr,
    // After the process: it is still there while nginx ends.
    _folder: Folder,
}

impl Static {
    /// Starts it, with as many workers as the gateway has and no log.
    ///
    /// # Errors
    /// Where its folder can't be written.
    pub async fn start() -> Result<Self> {
        let (folder, address) = (Folder::new(), free_address());
        std::fs::write(folder.join("file.json"), "x".repeat(1024)).context("the file")?;
        std::fs::write(folder.join("nginx.conf"), configuration(address)).context("the configuration")?;
        let nginx = testkit::program("NGINX");
        let globals = "daemon off; user root; error_log /dev/stdout notice;";
        let program = Program::new(nginx, "start worker processes")
            .args(["-e", "stderr", "-g", globals, "-p"])
            .args([folder.path().as_os_str(), "-c".as_ref(), folder.join("nginx.conf").as_os_str()]);
        Ok(Self { process: Process::start(&program).await, address, _folder: folder })
    }

    /// The id of its first process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Static {
    fn drop(&mut self) {
        // Its workers would go on without it.
        self.process.end();
    }
}

fn configuration(address: SocketAddr) -> String {
    format!(
        "worker_processes 2;\npid nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n\n  default_type application/json;\n\
         client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         server {{ listen {address}; root .; location / {{ try_files /file.json =404; }} }}\n}}\n"
    )
}
