//! `portal admin create`: creates an admin, for an operator with access to the stores.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chassis::{Surroundings, say};
use clap::{Args, Subcommand};
use users::{CreateAdmin, Email, Name, Password};

use crate::{config, data_folder, whole};

/// The commands on admins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates an admin account. Stop the portal first if its stores are files; in a fleet it works at any
    /// time.
    Create(Flags),
}

/// The new admin. The password is never an argument, because every user of the machine can see arguments.
#[derive(Debug, Args)]
#[group(id = "admin_create")]
pub struct Flags {
    /// The e-mail address to log in with.
    #[arg(long)]
    email: String,
    /// The display name.
    #[arg(long, default_value = "Admin")]
    name: String,
    /// A file whose first line is the password, or `-` for standard input. Without it, the terminal asks for
    /// the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    config: config::Flags,
}

/// Creates the account.
///
/// # Errors
/// Fails if a running portal holds the data folder, the e-mail is taken, or the password is refused.
pub async fn admin(command: &Command) -> anyhow::Result<()> {
    let Command::Create(flags) = command;
    let config = config::load(&flags.config)?.service;
    let email = Email::parse(&flags.email).context("--email")?;
    let name = Name::parse(&flags.name).context("--name")?;
    // The lock comes before the password, so that no password is typed in vain.
    let _lock = data_folder::hold(&config.data_dir)?;
    whole::ensure_complete(&config)?;
    let password =
        Password::parse(&read_password(flags.password_file.as_deref())?).context("the password")?;
    let surroundings = Surroundings::one_process();
    let opened = users::open(&config.users, &surroundings).await.context("users")?;
    let created = opened.app.create_admin(CreateAdmin { name, email, password }).await;
    for closer in opened.closers {
        closer.await;
    }
    say(format_args!("created the admin {} with the id {}", flags.email, created?.id));
    Ok(())
}

fn read_password(file: Option<&Path>) -> anyhow::Result<String> {
    match file {
        Some(path) if path != Path::new("-") => {
            let text =
                chassis::read_secret(path).with_context(|| format!("{} can't be read", path.display()))?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        None if std::io::stdin().is_terminal() => {
            let password = rpassword::prompt_password("Password: ")?;
            ensure!(
                password == rpassword::prompt_password("Repeat the password: ")?,
                "the two passwords differ"
            );
            Ok(password)
        }
        _ => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;

    fn create(folder: &Folder, email: &str, password: &str) -> Command {
        let file = folder.join("password");
        chassis::replace_private(&file, format!("{password}\n").as_bytes()).expect("writes");
        let config = config::Flags { data_dir: Some(folder.path().to_owned()), ..config::Flags::default() };
        Command::Create(Flags {
            email: email.to_owned(),
            name: "Ada".to_owned(),
            password_file: Some(file),
            config,
        })
    }

    #[tokio::test]
    async fn an_admin_is_created_once_and_a_second_call_changes_nothing() {
        let folder = Folder::new();
        admin(&create(&folder, "ada@example.org", "correct horse battery")).await.expect("creates an admin");
        let again =
            admin(&create(&folder, "ADA@example.org", "another good one")).await.expect_err("is taken");
        assert_eq!(
            kernel::Fault::code(again.downcast_ref::<users::UserError>().expect("a refusal")).as_str(),
            "email_taken"
        );
        let flags = config::Flags { data_dir: Some(folder.path().to_owned()), ..config::Flags::default() };
        let config = config::load(&flags).expect("a configuration").service;
        let opened = users::open(&config.users, &Surroundings::one_process()).await.expect("opens");
        let email = Email::parse("ada@example.org").expect("an address");
        let user = opened.app.find_by_email(&email).await.expect("asks").expect("is there");
        assert_eq!(user.role, kernel::Role::Admin);
    }

    #[tokio::test]
    async fn a_folder_in_use_and_a_bad_password_are_refused_with_a_sentence() {
        let folder = Folder::new();
        let refused =
            |command| async move { format!("{:#}", admin(&command).await.expect_err("is refused")) };
        let common = refused(create(&folder, "ada@example.org", "12345678")).await;
        assert!(common.contains("the password: ") && !common.contains("12345678"), "{common}");
        let _held = data_folder::lock(folder.path()).expect("the lock");
        let held = refused(create(&folder, "ada@example.org", "correct horse battery")).await;
        assert!(held.contains("stop it first"), "{held}");
    }
}
