//! `splitbrain list`: what there is, a line or two for each, read from where it is defined. What a
//! name means in full is told by `explain`.

use splitbrain_reports::text;
use splitbrain_workloads::verdict::AnomalyKind;
use splitbrain_workloads::workload::WORKLOADS;

use super::{Ended, Failure, ListArgs, Listed, print};
use crate::nemesis::KINDS;
use crate::result::ExitCode;
use crate::suite::gates::Metric;
use crate::target;
use crate::target::store::description;

const EVERYTHING: [Listed; 9] = [
    Listed::Faults,
    Listed::Workloads,
    Listed::Targets,
    Listed::Profiles,
    Listed::Switches,
    Listed::Plants,
    Listed::Anomalies,
    Listed::Gates,
    Listed::ExitCodes,
];

pub(super) fn main(args: &ListArgs) -> Ended {
    let mut sections = Vec::new();
    for what in args.what.map_or(EVERYTHING.to_vec(), |what| vec![what]) {
        let (title, rows) = rows(what)?;
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = rows
            .iter()
            .flat_map(|(name, meaning)| text::wrapped(&format!("  {name:width$}  "), meaning));
        sections.push(format!("{title}\n{}\n", lines.collect::<Vec<_>>().join("\n")));
    }
    sections.push("splitbrain explain NAME tells more of each\n".to_string());
    print(&sections.join("\n"));
    Ok(ExitCode::Met)
}

type Rows = Vec<(String, String)>;

fn rows(what: Listed) -> Result<(&'static str, Rows), Failure> {
    let row = |name: &str, meaning: &str| (name.to_string(), meaning.to_string());
    Ok(match what {
        Listed::Faults => ("faults", KINDS.iter().map(|k| row(k.name, k.summary)).collect()),
        Listed::Workloads => ("workloads", WORKLOADS.iter().map(|(n, m)| row(n, m)).collect()),
        Listed::Targets => ("targets", targets()?),
        Listed::Profiles => ("profiles of the target store", profiles()?),
        Listed::Switches => {
            let switches = description::describe()?.switches.into_iter();
            ("switches of the target store", switches.map(|it| (it.name, it.meaning)).collect())
        }
        Listed::Plants => {
            let plants = description::describe()?.plants.into_iter();
            let row =
                |it: description::Plant| (it.name, format!("{} ({})", it.meaning, it.anomaly));
            ("plants: bugs for the target store, and what each shows as", plants.map(row).collect())
        }
        Listed::Anomalies => (
            "anomalies",
            AnomalyKind::ALL.iter().map(|kind| row(kind.name(), kind.meaning())).collect(),
        ),
        Listed::Gates => (
            "gates",
            Metric::ALL.iter().map(|metric| row(metric.name(), metric.meaning())).collect(),
        ),
        Listed::ExitCodes => (
            "exit codes",
            ExitCode::ALL
                .iter()
                .map(|code| (format!("{:3}", *code as u8), code.meaning().to_string()))
                .collect(),
        ),
    })
}

fn targets() -> Result<Rows, Failure> {
    let mut rows = Vec::new();
    for kind in target::kinds()? {
        rows.push((kind.name.clone(), kind.summary.clone()));
        for setting in &kind.settings {
            let values = match setting.name.as_str() {
                "profile" => "one of `splitbrain list profiles`".to_string(),
                "plant" => "one of `splitbrain list plants`".to_string(),
                _ => setting.values.join(", "),
            };
            let default = match setting.default.as_str() {
                "" => "absent",
                default => default,
            };
            let text = format!("{}: {values} (default {default})", setting.meaning);
            rows.push((format!("  {}", setting.name), text));
        }
        if kind.switches.is_some() {
            let text = "single switches of the profile: any of `splitbrain list switches`";
            rows.push(("  set".to_string(), text.to_string()));
        }
    }
    Ok(rows)
}

/// The named settings, each with what is predicted of it.
fn profiles() -> Result<Rows, Failure> {
    let row = |profile: description::Profile| {
        let mut shows: Vec<String> = profile.may_show.into_iter().map(|it| it.anomaly).collect();
        shows.sort();
        shows.dedup();
        let shows = match &shows[..] {
            [] => "no anomaly is predicted".to_string(),
            _ => format!("may show {}", shows.join(", ")),
        };
        (profile.name, format!("{}; {shows}", profile.meaning))
    };
    Ok(description::describe()?.profiles.into_iter().map(row).collect())
}
