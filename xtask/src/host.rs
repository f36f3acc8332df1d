// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine: its privileges, its packages, its Debian mirror.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run;
use crate::ui::Ui;

/// What the lab needs on the host, as (a file that shows that it is there, the Debian package).
const NEEDED: [(&str, &str); 4] = [
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("/usr/bin/setpriv", "util-linux"),
];

/// Where to go from a host that cannot run the lab itself.
const CONTAINER: &str = "podman run --rm -it --privileged -v \"$PWD:/src\" -w /src \"$(podman build -q .)\" cargo xtask demo";

/// How commands get root's rights.
enum Privilege {
    Root,
    Sudo,
    None,
}

/// The machine.
pub struct Host {
    privilege: Privilege,
}

/// A place that serves Debian's archive, as this machine is configured.
pub struct Mirror {
    /// Base address.
    pub uri: String,
    /// `Acquire` settings (proxy, validity) to hand to the roots.
    pub apt_options: String,
}

impl Host {
    /// Looks only; asks for no password.
    pub fn detect() -> Self {
        let privilege = if rustix::process::geteuid().is_root() {
            Privilege::Root
        } else if Path::new("/usr/bin/sudo").exists() {
            Privilege::Sudo
        } else {
            Privilege::None
        };
        Self { privilege }
    }

    /// A command with root's rights that dies with us.
    pub fn as_root(&self, program: &str) -> Result<Command> {
        match self.privilege {
            Privilege::Root => Ok(run::dying_with_us(program)),
            Privilege::Sudo => {
                let mut command = run::dying_with_us("sudo");
                command.arg(program);
                Ok(command)
            }
            Privilege::None => bail!(
                "the lab needs root to make a Debian root: run it as root, install sudo, or use a container:\n  {CONTAINER}"
            ),
        }
    }

    /// Whether files that steps make as root must be handed to the user.
    pub fn user_spec(&self) -> String {
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        format!("{}:{}", uid.as_raw(), gid.as_raw())
    }

    /// Removes a folder that may belong to root.
    pub fn remove_tree(&self, dir: &Path) -> Result<()> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => run::output(
                self.as_root("rm")?
                    .args(["-rf", "--one-file-system", "--"])
                    .arg(dir),
            )
            .map(drop),
            other => other.with_context(|| format!("cannot remove {}", dir.display())),
        }
    }

    /// Installs what is missing, or says exactly what to run.
    pub fn install_needed(&self, ui: &Ui) -> Result<()> {
        let missing: Vec<_> = NEEDED
            .iter()
            .filter(|(file, _)| !Path::new(file).exists())
            .map(|(_, package)| *package)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if !Path::new("/usr/bin/apt-get").exists() {
            bail!(
                "the lab needs a Debian host ({} missing); elsewhere use a container:\n  {CONTAINER}",
                missing.join(", ")
            );
        }
        let by_hand = format!(
            "apt-get update && apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
        if matches!(self.privilege, Privilege::None) {
            bail!(
                "missing on this machine: {}; as root, run:\n  {by_hand}",
                missing.join(", ")
            );
        }
        ui.step(&format!("Installing {}", missing.join(", ")), |step| {
            step.clear_log();
            run::run(step, self.as_root("apt-get")?.arg("update"))?;
            let mut install = self.as_root("env")?;
            install.args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
            ]);
            run::run(step, install.args(&missing)).with_context(|| {
                format!("cannot install what is missing; as root, run:\n  {by_hand}")
            })
        })
    }

    /// The mirror that this machine's own apt uses.
    pub fn mirror(&self, ui: &Ui) -> Result<Mirror> {
        let mut uri = debian_mirror()?;
        if uri.is_none() {
            // A machine that never ran `apt-get update` has no index to ask.
            ui.step("Reading the package index", |step| {
                run::run(step, self.as_root("apt-get")?.arg("update"))
            })?;
            uri = debian_mirror()?;
        }
        let uri = uri.context(
            "no Debian archive in this machine's apt sources: add one, or use the container:\n  "
                .to_owned()
                + CONTAINER,
        )?;
        let dump = run::output(Command::new("apt-config").args(["dump", "Acquire"]))?;
        Ok(Mirror {
            uri,
            apt_options: inheritable(&dump),
        })
    }
}

/// The archive's address from apt's own index targets.
fn debian_mirror() -> Result<Option<String>> {
    let list = run::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    Ok(pick_mirror(&list))
}

/// The first line of Debian's main archive (not its security archive).
fn pick_mirror(list: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (origin, codename, uri) = (words.next()?, words.next()?, words.next()?);
        (origin == "Debian" && !codename.contains('-'))
            .then(|| uri.trim_end_matches('/').to_owned())
    })
}

/// Proxy, validity and retry settings; never those that switch off authentication.
fn inheritable(dump: &str) -> String {
    let wanted = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default();
        let taken = [
            "Acquire::http",
            "Acquire::https",
            "Acquire::Check-",
            "Acquire::Retries",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        taken && !name.contains("Insecure") && !name.contains("Weak") && !name.contains("Verify")
    };
    dump.lines()
        .filter(wanted)
        .fold(String::new(), |all, line| all + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_among_others() {
        let list = "Other trixie http://one.example/x\nDebian bookworm-security http://two.example/s/\n\
                    Debian bookworm http://three.example/debian/\n";
        assert_eq!(
            pick_mirror(list).as_deref(),
            Some("http://three.example/debian")
        );
        assert_eq!(pick_mirror("Other trixie http://one.example/x\n"), None);
    }

    #[test]
    fn settings_that_weaken_authentication_are_not_inherited() {
        let dump = "Acquire::Check-Valid-Until \"false\";\nAcquire::AllowInsecureRepositories \"1\";\n\
                    Acquire::http::Proxy \"http://p.example:3128\";\nAcquire::https::Verify-Peer \"false\";\n\
                    Acquire::AllowWeakRepositories \"1\";\n";
        let taken = inheritable(dump);
        assert_eq!(
            taken,
            "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"http://p.example:3128\";\n"
        );
    }
}
