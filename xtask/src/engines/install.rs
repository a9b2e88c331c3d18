//! The programs that the engines need: first listed, then installed or built, once.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::account::is_root;
use super::place::Place;
use super::programs;
use super::site::{read, shared};
use crate::cargo::variable;
use crate::step::{say, seconds};

/// A package of Debian, and the test whether it is missing.
struct Package {
    name: &'static str,
    why: &'static str,
    missing: fn() -> bool,
}

const PACKAGES: [Package; 8] = [
    Package {
        name: "postgresql",
        why: "accounts, articles, and the data of FerretDB",
        missing: || programs::postgres("initdb").is_none() || programs::postgres("psql").is_none(),
    },
    Package {
        name: "redis-server",
        why: "the cache and the intake of users",
        missing: || programs::find("redis-server").is_none(),
    },
    Package {
        name: "rabbitmq-server",
        why: "the broker between the services",
        missing: || programs::rabbitmq().is_none() || programs::find("epmd").is_none(),
    },
    Package { name: "nginx", why: "the gateway", missing: || programs::find("nginx").is_none() },
    Package {
        name: "openjdk-17-jre-headless",
        why: "runs Neo4j, the graph of what readers like",
        missing: || programs::java().is_none(),
    },
    Package { name: "maven", why: "downloads Neo4j", missing: || programs::find("mvn").is_none() },
    Package {
        name: "golang-go",
        why: "builds FerretDB, which replaces MongoDB (Go 1.22 or newer)",
        missing: || programs::go().is_none(),
    },
    Package {
        name: "python3-venv",
        why: "runs schemathesis, which generates requests from the OpenAPI document",
        missing: || !programs::has_python(),
    },
];

/// Installs whatever is missing: packages, the jars of Neo4j, the program of FerretDB. If tests follow, also
/// the programs that check compose files and generate requests. Asks first if there is a terminal.
pub fn ensure(place: &Place, yes: bool, for_tests: bool) -> Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| (package.missing)()).collect();
    let for_tests = for_tests.then(|| [Built::compose(place), Built::schemathesis(place)]);
    let builds =
        [Built::neo4j(place), Built::ferretdb(place)].into_iter().chain(for_tests.into_iter().flatten());
    let builds: Vec<_> = builds.filter(|built| !built.is_current()).collect();
    if missing.is_empty() && builds.is_empty() {
        return Ok(());
    }
    say!("These programs are missing:");
    for package in &missing {
        say!("  {:<26}{} (system package)", package.name, package.why);
    }
    for built in &builds {
        say!("  {:<26}{}", built.name, built.why);
    }
    if !missing.is_empty() {
        let how = apt(&missing.iter().map(|package| package.name).collect::<Vec<_>>())?;
        confirm(yes)?;
        timed("system packages", || install(how))?;
        let still: Vec<_> = missing.iter().filter(|package| (package.missing)()).map(|it| it.name).collect();
        ensure!(
            still.is_empty(),
            "still missing or too old after the installation: {}. Java {} and Go 1.{} or newer are needed; go.dev has newer versions of Go",
            still.join(", "),
            programs::JAVA,
            programs::GO
        );
    } else {
        confirm(yes)?;
    }
    // Both mostly wait for the network, so they run at the same time.
    std::thread::scope(|scope| {
        let running: Vec<_> =
            builds.iter().map(|built| scope.spawn(|| timed(built.name, || built.make()))).collect();
        let ended: Vec<_> =
            running.into_iter().map(|thread| thread.join().expect("a build doesn't panic")).collect();
        ended.into_iter().collect()
    })
}

/// Asks on a terminal. Continues without asking with `--yes`, on a build server, and without a terminal.
fn confirm(yes: bool) -> Result<()> {
    if yes || variable("CI").is_some() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    say("Install and build them? [Y/n] ");
    std::io::stdout().flush().context("the standard output")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the standard input")?;
    ensure!(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"), "nothing was installed");
    Ok(())
}

/// Returns the commands that install packages on this system. The error lists what to install by hand.
fn apt(packages: &[&str]) -> Result<Vec<Command>> {
    let by_hand = format!(
        "install by hand (the names are those of Debian): {}\nor, with a container engine: cargo xtask engines up --docker",
        packages.join(" ")
    );
    let Some(apt) = programs::find("apt-get") else {
        bail!("this system has no apt-get, which is the only installer that xtask knows; {by_hand}");
    };
    let as_root = |arguments: &[&str]| -> Result<Command> {
        let mut command = if is_root() {
            Command::new(&apt)
        } else {
            let sudo = programs::find("sudo")
                .with_context(|| format!("this user may not install packages; {by_hand}"))?;
            let mut command = Command::new(sudo);
            if !std::io::stdin().is_terminal() {
                command.arg("-n");
            }
            // sudo does not pass the environment on.
            command.args(["env", "DEBIAN_FRONTEND=noninteractive"]).arg(&apt);
            command
        };
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    };
    let mut install = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(packages);
    Ok(vec![as_root(&["update", "--quiet"])?, as_root(&install)?])
}

fn install(commands: Vec<Command>) -> Result<()> {
    commands.into_iter().try_for_each(|command| run(command, "the installation"))
}

/// Runs a command, and shows its output if it fails.
fn run(mut command: Command, what: &str) -> Result<()> {
    let output = command.stdin(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} can't be run", command.get_program().display()))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{what} failed ({}):\n{out}{err}", output.status);
    }
    Ok(())
}

fn timed(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say!("{what:<18}…");
    let start = Instant::now();
    work()?;
    say!("{what:<18}ready  {:>7}", seconds(start.elapsed()));
    Ok(())
}

/// A program that is built once from files of this repository, and again when one of them changes.
struct Built {
    name: &'static str,
    why: &'static str,
    /// The folder of these files.
    sources: PathBuf,
    files: &'static [&'static str],
    folder: PathBuf,
    make: fn(sources: &Path, folder: &Path) -> Result<()>,
}

impl Built {
    fn neo4j(place: &Place) -> Self {
        Self {
            name: "neo4j jars",
            why: "Neo4j Community, 128 MiB from Maven",
            sources: shared("xtask/engines/neo4j"),
            files: &["pom.xml"],
            folder: place.join("built/neo4j"),
            make: fetch_neo4j,
        }
    }

    fn ferretdb(place: &Place) -> Self {
        Self {
            name: "ferretdb",
            why: "a Go module, downloaded and compiled in about a minute",
            sources: shared("xtask/engines/ferretdb"),
            files: &["main.go", "go.mod", "go.sum"],
            folder: place.join("built/ferretdb"),
            make: |sources, folder| go_build(sources, &folder.join("ferretdb"), "."),
        }
    }

    fn compose(place: &Place) -> Self {
        Self {
            name: "docker-compose",
            why: "checks the compose files in a test; a Go module, downloaded and compiled in about two minutes",
            sources: shared("xtask/engines/compose"),
            files: &["go.mod", "go.sum"],
            folder: place.join("built/compose"),
            make: |sources, folder| {
                go_build(sources, &folder.join("docker-compose"), "github.com/docker/compose/v2/cmd")
            },
        }
    }

    fn schemathesis(place: &Place) -> Self {
        Self {
            name: "schemathesis",
            why: "sends requests that it generates from the OpenAPI document; from PyPI, in a folder of its own",
            sources: shared("xtask/engines/schemathesis"),
            files: &["requirements.txt"],
            folder: place.join("built/schemathesis"),
            make: install_schemathesis,
        }
    }

    /// Returns the text of all these files.
    fn recipe(&self) -> Result<String> {
        self.files.iter().map(|file| read(&self.sources.join(file))).collect()
    }

    /// Returns true if the result can be used. The recipe is written last, so an unfinished build has none.
    fn is_current(&self) -> bool {
        let made_from = fs::read_to_string(self.folder.join("recipe"));
        matches!((made_from, self.recipe()), (Ok(then), Ok(now)) if then == now)
    }

    fn make(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("removing {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("the folder {}", self.folder.display()))?;
        (self.make)(&self.sources, &self.folder)?;
        fs::write(self.folder.join("recipe"), self.recipe()?).context("what was built")
    }
}

fn fetch_neo4j(sources: &Path, folder: &Path) -> Result<()> {
    let mut maven = Command::new(programs::find("mvn").context("Maven is not installed")?);
    maven.args([
        "--batch-mode",
        "--no-transfer-progress",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
    ]);
    // Maven would create a folder `target` beside its pom.xml.
    fs::copy(sources.join("pom.xml"), folder.join("pom.xml")).context("pom.xml")?;
    maven.arg(format!("-DoutputDirectory={}", folder.join("lib").display())).current_dir(folder);
    run(maven, "downloading Neo4j with Maven")
}

fn install_schemathesis(sources: &Path, folder: &Path) -> Result<()> {
    let mut python = Command::new(programs::find("python3").context("Python is not installed")?);
    python.args(["-m", "venv"]).arg(folder);
    run(python, "creating a virtual environment of Python")?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    pip.arg(sources.join("requirements.txt"));
    run(pip, "installing schemathesis with pip")
}

fn go_build(sources: &Path, program: &Path, package: &str) -> Result<()> {
    let mut go = Command::new(programs::go().context("Go is not installed")?);
    go.args(["build", "-o"]).arg(program).arg(package).current_dir(sources);
    run(go, "building with Go")
}

/// Returns the path of FerretDB's program.
pub fn ferretdb_program(place: &Place) -> PathBuf {
    place.join("built/ferretdb/ferretdb")
}

/// Returns a docker-compose: the one that xtask has built, or the one of this machine.
pub fn compose_program(place: &Place) -> Option<PathBuf> {
    Some(place.join("built/compose/docker-compose"))
        .filter(|program| program.is_file())
        .or_else(|| programs::find("docker-compose"))
}

/// Returns the path of schemathesis, if it is installed.
pub fn schemathesis_program(place: &Place) -> Option<PathBuf> {
    Some(place.join("built/schemathesis/bin/schemathesis")).filter(|program| program.is_file())
}

/// Returns the folder of Neo4j's jars.
pub fn neo4j_jars(place: &Place) -> PathBuf {
    place.join("built/neo4j/lib")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(_: &Path, folder: &Path) -> Result<()> {
        fs::write(folder.join("made"), "").context("a file")
    }

    #[test]
    fn a_build_is_reused_until_its_sources_change() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("source"), "one").expect("writes");
        let built = Built {
            name: "thing",
            why: "",
            sources: folder.path().to_owned(),
            files: &["source"],
            folder: folder.path().join("built"),
            make: copy,
        };
        assert!(!built.is_current());
        built.make().expect("is made");
        assert!(built.is_current());
        fs::write(folder.path().join("source"), "two").expect("writes");
        assert!(!built.is_current());
    }

    #[test]
    fn an_interrupted_build_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("source"), "one").expect("writes");
        let make = |_: &Path, _: &Path| bail!("interrupted");
        let built = Built {
            name: "thing",
            why: "",
            sources: folder.path().to_owned(),
            files: &["source"],
            folder: folder.path().join("built"),
            make,
        };
        assert!(built.make().is_err());
        assert!(!built.is_current());
    }
}
