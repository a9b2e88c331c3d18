//! Operation: files and their permissions, a folder in which a store is missing, signals, proxies, a full
//! store.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use system_tests::{Shape, World, scenarios};
use testkit::{Client, Folder, PATIENCE, Portal, free_address, portal_binary, wait_until};

scenarios! {
    on one process, because "its stores are files; the rest is the same code in every program":
        only_the_owner_can_read_any_file_whatever_the_umask_and_the_folder,
        a_signing_key_that_others_can_read_stops_the_start_with_one_sentence,
        a_missing_store_stops_the_start_with_instructions,
        a_folder_without_a_list_of_known_stores_still_opens,
        a_hang_up_is_logged_and_ignored,
        a_health_check_bypasses_proxies,
        a_store_that_accepts_no_writes_is_reported_and_serves_reads;
}

/// Runs a portal that is expected to end without a signal.
fn run(data: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(portal_binary());
    command.args(["run", "--listen", &free_address().to_string(), "--data-dir"]).arg(data);
    command.envs(variables.iter().copied()).output().expect("it runs")
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    // The lines before the last one are log lines.
    message.lines().last().unwrap_or_default().to_owned()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
}

/// Returns every file and folder below a folder, with its mode.
fn below(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let metadata = std::fs::metadata(&path).expect("it is there");
        found.push((path.clone(), metadata.is_dir(), metadata.permissions().mode() & 0o777));
        if metadata.is_dir() {
            found.extend(below(&path));
        }
    }
    found
}

async fn only_the_owner_can_read_any_file_whatever_the_umask_and_the_folder(_: Shape) {
    for umask in ["000", "022", "077"] {
        let folder = Folder::new();
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("is made beforehand");
        set_mode(&data, 0o755);
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut portal = Portal::start_with("/bin/sh", folder.path(), |program| {
            program.first_args(["-c".to_owned(), script, portal_binary().display().to_string()])
        })
        .await;
        portal.client().get("/news/v1/all/1/10").send().await.expect_status(200);
        let found = below(&data);
        let names: Vec<_> = found.iter().map(|(path, ..)| path.display().to_string()).collect();
        for end in ["users.db", "users.db-wal", "users.db-shm", "signing-key.pem", "portal.lock"] {
            assert!(names.iter().any(|name| name.ends_with(end)), "{end}: {names:?}");
        }
        for (path, is_folder, mode) in found {
            assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "umask {umask}: {}", path.display());
        }
        let mode = std::fs::metadata(&data).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "umask {umask}: the folder itself");
        assert!(portal.stop().await.success());
    }
}

async fn a_signing_key_that_others_can_read_stops_the_start_with_one_sentence(_: Shape) {
    let folder = Folder::new();
    let mut portal = Portal::start(portal_binary(), folder.path()).await;
    let key = portal.data().join("signing-key.pem");
    assert!(portal.stop().await.success());
    set_mode(&key, 0o644);
    let message = refused(&run(portal.data(), &[]));
    assert!(message.contains("signing-key.pem") && message.contains("chmod 600"), "{message}");
    set_mode(&key, 0o600);
    portal.restart().await;
}

/// Removes a store with its log and its lock, as `rm data/users.db*` does.
fn remove_store(data: &Path, name: &str) {
    for entry in std::fs::read_dir(data).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_file() && path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
            std::fs::remove_file(&path).expect("a file of ours");
        }
    }
}

async fn a_missing_store_stops_the_start_with_instructions(_: Shape) {
    let folder = Folder::new();
    let mut portal = Portal::start(portal_binary(), folder.path()).await;
    assert!(portal.stop().await.success());
    let data = portal.data().to_owned();
    let password = data.join("initial-admin-password");
    std::fs::remove_file(&password).expect("the operator deletes the file, as its text asks");
    remove_store(&data, "users.db");
    for _ in 0..2 {
        let message = refused(&run(&data, &[]));
        assert!(message.contains("users.db is missing or empty") && message.contains("backup"), "{message}");
        assert!(!password.exists(), "nothing was made for a portal that does not start");
        std::fs::write(data.join("users.db"), "").expect("an empty one");
    }
    system_tests::forget_store(&data, "users.db");
    portal.restart().await;
}

async fn a_folder_without_a_list_of_known_stores_still_opens(_: Shape) {
    let folder = Folder::new();
    let mut portal = Portal::start(portal_binary(), folder.path()).await;
    let data = portal.data().to_owned();
    let before = |name: &'static str| {
        let file = data.join(name);
        async move {
            let mut file =
                SqliteConnectOptions::new().filename(file).connect().await.expect("the file opens");
            sqlx::query("drop table portal_folder").execute(&mut file).await.expect("as it was before");
            file.close().await.expect("the file closes");
        }
    };
    for _ in 0..2 {
        assert!(portal.stop().await.success());
        for name in ["users.db", "users-intake.db", "bus.db", "famous-news.db", "recommendations.db"] {
            before(name).await;
        }
        std::fs::remove_file(data.join("known-stores")).expect("as it was before");
        portal.restart().await;
        portal.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    }
    assert!(portal.stop().await.success());
    std::fs::remove_file(data.join("known-stores")).expect("as it was before");
    remove_store(&data, "users.db");
    let message = refused(&run(&data, &[]));
    assert!(message.contains("users.db is missing or empty"), "{message}");
}

async fn a_hang_up_is_logged_and_ignored(_: Shape) {
    let folder = Folder::new();
    let mut portal = Portal::start(portal_binary(), folder.path()).await;
    portal.process().hang_up();
    wait_until("a line about the hang-up", PATIENCE, || {
        let lines = portal.process().output();
        std::future::ready(lines.iter().any(|line| line.contains("SIGHUP is ignored")).then_some(()))
    })
    .await;
    portal.client().get("/livez").send().await.expect_status(200);
    assert!(portal.stop().await.success());
}

async fn a_health_check_bypasses_proxies(_: Shape) {
    let folder = Folder::new();
    let portal = Portal::start(portal_binary(), folder.path()).await;
    let mut check = Command::new(portal_binary());
    check.args(["healthcheck", portal.url()]).env_remove("no_proxy").env_remove("NO_PROXY");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        // No program listens on this port.
        check.env(name, "http://127.0.0.1:1");
    }
    let output = check.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn a_store_that_accepts_no_writes_is_reported_and_serves_reads(shape: Shape) {
    let mut world = World::with(shape, &[("PROCESS__INTERNAL_LISTEN", "127.0.0.1:0")]).await;
    let lines = world.output();
    let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.rfind(|line| line["message"] == "metrics are served").expect("a line says where");
    let internal = Client::new(&format!("http://{}", line["address"].as_str().expect("an address")));
    let status = async |wanted: &str| {
        wait_until(wanted, PATIENCE, || async {
            let answer = internal.get("/readyz").send().await.expect_status(200).json();
            (answer["status"] == wanted).then_some(answer)
        })
        .await
    };
    status("ready").await;

    let file = world.portal().data().join("users.db");
    let mut held = SqliteConnectOptions::new().filename(file).connect().await.expect("the file opens");
    sqlx::query("begin immediate").execute(&mut held).await.expect("others can't write now");
    let answer = status("degraded").await;
    let dependencies = answer["dependencies"].as_array().expect("a list").iter();
    let bad: Vec<_> = dependencies.filter(|it| it["writes"] == false).collect();
    assert_eq!(bad.len(), 1, "{answer}");
    assert_eq!((&bad[0]["service"], &bad[0]["name"]), (&"users".into(), &"store".into()));
    assert!(bad[0]["ok"] == true && bad[0]["reason"].is_string(), "{answer}");
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    wait_until("a health check that says so", PATIENCE, || async {
        let answer = world.client().get("/users/v1/healthcheck").send().await;
        (answer.status == 503).then_some(())
    })
    .await;

    sqlx::query("rollback").execute(&mut held).await.expect("others can write again");
    held.close().await.expect("the file closes");
    status("ready").await;
}
