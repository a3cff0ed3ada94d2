//! Users and groups on the command line.

use std::fs;

use clap::Args;

use crate::durable::NewOwner;

/// Where this computer names its users and groups.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The owner of what a migration creates.
#[derive(Args)]
pub struct OwnerArgs {
    /// Give what is created to this user and group, names or numbers [default: the owner of the store that is merged into
    /// or replaced, else the own user]
    #[arg(long, value_name = "USER:GROUP", value_parser = parse_owner, help_heading = "Result")]
    chown: Option<NewOwner>,
}

impl OwnerArgs {
    /// Returns the owner, which is empty if none is asked for.
    pub fn owner(&self) -> NewOwner {
        self.chown.unwrap_or_default()
    }
}

/// Returns the owner that `USER`, `USER:GROUP` or `:GROUP` means; each is a number or a name of this computer.
fn parse_owner(text: &str) -> Result<NewOwner, String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = |name: &str, file| if name.is_empty() { Ok(None) } else { number_of(name, file).map(Some) };
    let owner = NewOwner { user: number(user, USERS)?, group: number(group, GROUPS)?, is_required: true };
    if owner.is_empty() { Err("USER, USER:GROUP or :GROUP is needed".into()) } else { Ok(owner) }
}

fn number_of(name: &str, file: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        // The system takes this number for "leave it as it is".
        return if number == u32::MAX { Err(format!("{name} is no number of a user or group")) } else { Ok(number) };
    }
    let lines = fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let of_name = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1).and_then(|number| number.parse().ok())).flatten()
    };
    lines.lines().find_map(of_name).ok_or_else(|| format!("{file} does not name {name}; give its number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_users_and_groups() {
        let owner = |user, group| Ok(NewOwner { user, group, is_required: true });
        assert_eq!(parse_owner("12:34"), owner(Some(12), Some(34)));
        assert_eq!(parse_owner("root:root"), owner(Some(0), Some(0)));
        assert_eq!(parse_owner("root"), owner(Some(0), None));
        assert_eq!(parse_owner(":7"), owner(None, Some(7)));
        for wrong in ["", ":", "no such user", "1:no such group", "4294967295", "-1"] {
            assert!(parse_owner(wrong).is_err(), "{wrong}");
        }
    }
}
