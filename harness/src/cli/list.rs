//! `splitbrain list` and `explain`: what there is, in words, read from where it is defined.

use splitbrain_workloads::verdict::AnomalyKind;
use splitbrain_workloads::workload::WORKLOADS;

use super::{Ended, ExplainArgs, Failure, ListArgs, Listed, print};
use crate::nemesis::KINDS;
use crate::result::ExitCode;
use crate::suite::gates::Metric;
use crate::target;

const EVERYTHING: [Listed; 7] = [
    Listed::Faults,
    Listed::Workloads,
    Listed::Targets,
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
        let lines = rows.iter().map(|(name, meaning)| format!("  {name:width$}  {meaning}\n"));
        sections.push(format!("{title}\n{}", lines.collect::<String>()));
    }
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
        Listed::Plants => ("plants", target::store::plants()?),
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
            let values = setting.values.join(", ");
            let default = match setting.default.as_str() {
                "" => "absent",
                default => default,
            };
            let text = format!("{}: {values} (default {default})", setting.meaning);
            rows.push((format!("  {}", setting.name), text));
        }
        if let Some(switches) = &kind.switches {
            rows.push(("  set".to_string(), format!("single switches: {}", switches.join(", "))));
        }
    }
    Ok(rows)
}

pub(super) fn explain(args: &ExplainArgs) -> Ended {
    let name = args.name.as_str();
    let fault = KINDS.iter().find(|kind| kind.name == name);
    let fault = fault.map(|kind| format!("{}\n\n{}\n", kind.summary, kind.explain));
    let anomaly = AnomalyKind::ALL.iter().find(|kind| kind.name() == name);
    let anomaly = anomaly.map(|kind| format!("{kind}: {}\n", kind.meaning()));
    let metric = Metric::ALL.iter().find(|metric| metric.name() == name);
    let metric = metric.map(|metric| format!("gate {metric}: {}\n", metric.meaning()));
    match fault.or(anomaly).or(metric) {
        Some(text) => {
            print(&text);
            Ok(ExitCode::Met)
        }
        None => {
            let kinds = KINDS.iter().map(|kind| kind.name);
            let anomalies = AnomalyKind::ALL.iter().map(|kind| kind.name());
            let metrics = Metric::ALL.iter().map(|metric| metric.name());
            let names = kinds.chain(anomalies).chain(metrics);
            let near = |known: &&str| strsim::jaro_winkler(known, name) > 0.8;
            let help = match names.into_iter().find(near) {
                Some(known) => format!("a similar name exists: {known}"),
                None => "splitbrain list names everything".to_string(),
            };
            let text = format!("error: nothing is called \"{name}\"\n  = help: {help}");
            Err(Failure::new(ExitCode::Usage, text))
        }
    }
}
