//! `--list`: names, and with `--state` and `--type` columns beside them.

use super::{Trouble, options};
use crate::Output;
use crate::args::Args;
use millrace_client::admin::{GroupFilter, GroupState, ListedGroup};
use millrace_client::{Client, Error};

const CONSUMER_TYPES: [&str; 2] = ["consumer", "classic"];

/// Groups of consumers, and those that only ever committed offsets; none of Connect's or of other protocols.
pub async fn consumer_groups(
    client: &Client,
    states: Vec<GroupState>,
    types: Vec<String>,
) -> Result<Vec<ListedGroup>, Error> {
    let filter = GroupFilter {
        states,
        types: match types.is_empty() {
            true => CONSUMER_TYPES.map(str::to_owned).to_vec(),
            false => types,
        },
    };
    let mut groups = client.list_groups(&filter).await?;
    groups.retain(|group| matches!(group.protocol_type.as_str(), "" | "consumer"));
    Ok(groups)
}

pub async fn run(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let states = options::states(args.value("state")?).map_err(Trouble::Usage)?;
    let types = options::types(args.value("type")?).map_err(Trouble::Usage)?;
    let groups = consumer_groups(client, states, types).await?;
    let (shows_type, shows_state) = (args.has("type"), args.has("state"));
    if !shows_type && !shows_state {
        for group in groups {
            writeln!(out, "{}", group.name)?;
        }
        return Ok(());
    }
    write!(out, "{}", table(&groups, shows_type, shows_state))?;
    Ok(())
}

fn table(groups: &[ListedGroup], shows_type: bool, shows_state: bool) -> String {
    let longest = groups.iter().map(|group| group.name.chars().count()).max();
    let width = longest.unwrap_or(0).max(15) + 10;
    let row = |name: &str, kind: &str, state: &str| {
        let mut row = format!("{name:width$}");
        for (shown, cell) in [(shows_type, kind), (shows_state, state)] {
            if shown {
                row.push_str(&format!(" {cell:20}"));
            }
        }
        row + "\n"
    };
    let mut table = row("GROUP", "TYPE", "STATE");
    for group in groups {
        let kind = match group.kind.as_deref() {
            Some("classic" | "Classic") => "Classic",
            Some("consumer" | "Consumer") => "Consumer",
            Some(_) | None => "Unknown",
        };
        let state = group.state.unwrap_or(GroupState::Unknown);
        table.push_str(&row(&group.name, kind, state.name()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_kafkas() {
        let group = ListedGroup {
            name: "live".to_owned(),
            protocol_type: "consumer".to_owned(),
            state: Some(GroupState::Stable),
            kind: Some("classic".to_owned()),
        };
        let check = |shows_type, shows_state, expected: &str| {
            let table = table(std::slice::from_ref(&group), shows_type, shows_state);
            assert_eq!(table.replace(" \n", "|\n"), expected);
        };
        check(
            true,
            true,
            "GROUP                     TYPE                 STATE               |\n\
             live                      Classic              Stable              |\n"
                .replace(" |", "|")
                .as_str(),
        );
        check(
            false,
            true,
            "GROUP                     STATE               |\n\
             live                      Stable              |\n"
                .replace(" |", "|")
                .as_str(),
        );
    }
}
