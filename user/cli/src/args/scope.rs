// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which processes are meant.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::Result;
use pagelens::processes::{Name, Scope};
use regex::bytes::Regex;

use crate::error::Usage;

/// Which processes are meant: one condition of each kind that is given must fit.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Which processes (all, unless one of these is given)")]
pub struct ScopeArgs {
    /// Of these numbers
    #[arg(long = "pid", short = 'p', value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,

    /// Of this name
    #[arg(long, short = 'n', value_name = "NAME")]
    name: Vec<OsString>,

    /// Whose name this fits
    #[arg(long, short = 'e', value_name = "PATTERN")]
    regex: Vec<Regex>,

    /// Of this user, by name or number
    #[arg(long, short = 'u', value_name = "USER")]
    user: Vec<String>,

    /// In this cgroup or below, such as /system.slice
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<OsString>,

    /// Of this unit of systemd, such as ssh or user@1000.service
    #[arg(long, value_name = "UNIT")]
    unit: Vec<OsString>,

    /// In the container whose id begins so
    #[arg(long, value_name = "ID")]
    container: Vec<String>,
}

impl ScopeArgs {
    /// The scope; fails if there is no such user.
    pub fn scope(&self) -> Result<Scope> {
        let users: Result<Vec<u32>> = self.user.iter().map(|user| user_id(user)).collect();
        Ok(Scope {
            pids: self.pids.clone(),
            names: names(&self.name),
            patterns: self.regex.clone(),
            users: users?,
            cgroups: names(&self.cgroup),
            units: names(&self.unit),
            containers: self.container.clone(),
        })
    }
}

fn names(words: &[OsString]) -> Vec<Name> {
    words
        .iter()
        .map(|word| Name::from(word.as_bytes()))
        .collect()
}

fn user_id(user: &str) -> Result<u32> {
    let named = uzers::get_user_by_name(user).map(|user| user.uid());
    let id = named.or_else(|| user.parse().ok());
    id.ok_or_else(|| Usage(format!("there is no user {user}: see `getent passwd`")).into())
}
