//! `splitbrain explain`: one name that `list` has, in as many words as it takes, or a word that
//! reports print (`terms`). Everything is read from where it is defined; the built-in store is asked
//! for what is its own.

use serde_json::json;
use splitbrain_reports::text;
use splitbrain_workloads::verdict::AnomalyKind;
use splitbrain_workloads::workload::{WORKLOADS, WorkloadSpec};

use super::{Ended, ExplainArgs, Failure, print, terms};
use crate::nemesis::KINDS;
use crate::result::ExitCode;
use crate::suite::gates::Metric;
use crate::target::store::description::{self, Description, Plant, Profile, Switch};
use crate::target::{self, Unusable};

pub(super) fn main(args: &ExplainArgs) -> Ended {
    let asked = args.name.join(" ");
    let name = &terms::plain(&asked);
    let store = description::describe()?;
    let topics = topics(&store)?;
    let text = topics.iter().filter(|topic| topic.name == *name).map(|topic| (topic.text)());
    let text: Vec<String> = text.collect();
    if text.is_empty() {
        return Err(unknown(&asked, &topics));
    }
    // One name may stand for two things; both are told.
    print(&text.join("\n"));
    Ok(ExitCode::Met)
}

/// Something that can be explained.
struct Topic<'a> {
    name: String,
    text: Box<dyn Fn() -> String + 'a>,
}

fn topic<'a>(name: impl ToString, text: impl Fn() -> String + 'a) -> Topic<'a> {
    Topic { name: name.to_string(), text: Box::new(text) }
}

/// Everything that `list` names, and the words of reports.
fn topics(store: &Description) -> Result<Vec<Topic<'_>>, Unusable> {
    let mut topics = Vec::new();
    for kind in KINDS {
        topics.push(topic(kind.name, move || {
            format!("fault {}: {}\n\n{}\n", kind.name, kind.summary, kind.explain)
        }));
    }
    for (name, summary) in WORKLOADS {
        topics.push(topic(name, move || workload(name, summary)));
    }
    for kind in target::kinds()? {
        topics.push(topic(kind.name.clone(), move || {
            let name = &kind.name;
            format!(
                "target {name}: {}\n\nIts settings: splitbrain list targets\n\n  \
                 target: {{ {name}: {{ nodes: 3 }} }}\n",
                kind.summary
            )
        }));
    }
    topics.extend(store.profiles.iter().map(|it| topic(&it.name, move || profile(it, store))));
    topics.extend(store.switches.iter().map(|it| topic(&it.name, move || switch(it, store))));
    topics.extend(store.plants.iter().map(|it| topic(&it.name, move || plant(it))));
    for (name, text) in terms::TERMS {
        topics.push(topic(name, move || format!("{text}\n")));
    }
    for kind in AnomalyKind::ALL {
        topics.push(topic(kind.name(), move || anomaly(kind, store)));
    }
    for metric in Metric::ALL {
        topics.push(topic(metric.name(), move || {
            let (meaning, example) = (metric.meaning(), metric.example());
            format!(
                "gate {metric}: {meaning}\n\n  gates: {{ {metric}: \"{example}\" }}\n\n{}\n",
                metric.explain()
            )
        }));
    }
    for code in ExitCode::ALL {
        topics.push(topic(code as u8, move || {
            format!("exit code {}: {}\n", code as u8, code.meaning())
        }));
    }
    Ok(topics)
}

fn workload(name: &str, summary: &str) -> String {
    let mut text = format!("workload {name}: {summary}\n\n");
    // Every parameter has a default, so the empty map is the workload as `list` means it.
    let spec: Result<WorkloadSpec, _> = serde_json::from_value(json!({ name: {} }));
    if let Ok(spec) = spec {
        let names = |names: Vec<String>| names.join(", ");
        let needs = names(spec.needs().iter().map(ToString::to_string).collect());
        let checkers = spec.checkers().iter().map(|checker| checker.name.to_string()).collect();
        let kinds = names(spec.kinds().iter().map(ToString::to_string).collect());
        text.push_str(&paragraph("By default  ", &spec.describe()));
        text.push_str(&paragraph("Operations  ", &kinds));
        text.push_str(&paragraph("Checkers    ", &names(checkers)));
        if !needs.is_empty() {
            text.push_str(&paragraph("Target      ", &format!("must be able to do: {needs}")));
        }
    }
    text + "\nIts parameters: docs/suite-reference.md\n"
}

fn profile(profile: &Profile, store: &Description) -> String {
    let mut text = paragraph(&format!("profile {}: ", profile.name), &profile.meaning);
    text.push('\n');
    match &profile.may_show[..] {
        [] => text.push_str("No anomaly is predicted, whatever the faults.\n"),
        some => {
            text.push_str("Predicted from its settings, under faults unless said otherwise:\n");
            for predicted in some {
                let mut why = predicted.why.clone();
                if predicted.without_faults {
                    why.push_str(" (without any fault)");
                }
                why.push_str(&format!(" [{}]", predicted.switches.join(", ")));
                text.push_str(&paragraph(&format!("  {}  ", predicted.anomaly), &why));
            }
        }
    }
    let safe = store.profiles.iter().find(|known| known.may_show.is_empty());
    if let Some(safe) = safe.filter(|safe| safe.name != profile.name) {
        let differs = profile.settings.iter().filter(|(k, v)| safe.settings.get(*k) != Some(*v));
        let differs: Vec<String> = differs.map(|(name, value)| format!("{name}={value}")).collect();
        text.push('\n');
        let first = format!("Where it differs from {}:  ", safe.name);
        text.push_str(&paragraph(&first, &differs.join(", ")));
    }
    let name = &profile.name;
    text + &format!("\n  target: {{ store: {{ nodes: 3, profile: {name} }} }}\n")
}

fn switch(switch: &Switch, store: &Description) -> String {
    let name = &switch.name;
    let mut text = paragraph(&format!("switch {name}: "), &switch.meaning);
    text.push_str(&paragraph("Values   ", &switch.values));
    let set = store
        .profiles
        .iter()
        .filter_map(|profile| Some(format!("{} {}", profile.name, profile.settings.get(name)?)));
    text.push_str(&paragraph("Set by   ", &set.collect::<Vec<_>>().join(", ")));
    text.push_str(&breaks(switch));
    text + &format!("\n  target: {{ store: {{ set: {{ {name}: ... }} }} }}\n")
}

/// What the store predicts of profile raft with this one switch set otherwise: of each value that is
/// a word, since a number has no typical one.
fn breaks(switch: &Switch) -> String {
    let is_word =
        |value: &&str| value.chars().all(|glyph| glyph.is_ascii_alphabetic() || glyph == '-');
    let mut text = String::new();
    for value in switch.values.split(", ").filter(is_word) {
        let set = format!("{}={value}", switch.name);
        // Some values make no sense beside the rest of raft, so nothing is predicted of them.
        for predicted in description::predicted("raft", &set).unwrap_or_default() {
            let why = format!("{}: {}", predicted.anomaly, predicted.why);
            text.push_str(&paragraph(&format!("  {set}  "), &why));
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("\nPredicted of profile raft, but\n{text}"),
    }
}

fn plant(plant: &Plant) -> String {
    let Plant { name, meaning, anomaly, place } = plant;
    let mut text = paragraph(&format!("planted bug {name}: "), meaning);
    text.push('\n');
    text.push_str(&paragraph("Shows as  ", anomaly));
    text.push_str(&paragraph("Sits in   ", &format!("node/src/{place}")));
    text + &format!(
        "\n  target: {{ store: {{ plant: {name} }} }}\n\nWhat catches it: docs/plants.md\n"
    )
}

fn anomaly(kind: AnomalyKind, store: &Description) -> String {
    let mut text = format!("anomaly {kind}: {}\n\n{}\n", kind.meaning(), kind.explain());
    let names = |names: Vec<&str>| names.join(", ");
    let shows = |profile: &&Profile| profile.may_show.iter().any(|it| it.anomaly == kind.name());
    let profiles = store.profiles.iter().filter(shows).map(|profile| profile.name.as_str());
    let plants = store.plants.iter().filter(|plant| plant.anomaly == kind.name());
    let (profiles, plants) =
        (profiles.collect::<Vec<_>>(), plants.map(|plant| plant.name.as_str()).collect::<Vec<_>>());
    if !profiles.is_empty() {
        text.push('\n');
        text.push_str(&paragraph("Predicted of the profiles  ", &names(profiles)));
    }
    if !plants.is_empty() {
        text.push('\n');
        text.push_str(&paragraph("Shown by the planted bugs  ", &names(plants)));
    }
    text
}

/// A text over as many lines as it needs, behind its first words.
fn paragraph(first: &str, text: &str) -> String {
    text::wrapped(first, text).into_iter().map(|line| line + "\n").collect()
}

fn unknown(name: &str, topics: &[Topic<'_>]) -> Failure {
    let near = topics.iter().map(|topic| (strsim::jaro_winkler(&topic.name, name), topic));
    let near = near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let help = match near {
        Some((_, known)) => format!("a similar name exists: {}", known.name),
        None => "splitbrain list names everything that can be explained".to_string(),
    };
    let text = format!("error: nothing is called \"{name}\"\n  = help: {help}");
    Failure::new(ExitCode::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_explained_by_what_it_asks_and_who_judges_it() {
        insta::assert_snapshot!(workload("set", "adds of unique elements"), @"
        workload set: adds of unique elements

        By default  set, up to 50000 elements
        Operations  write, list
        Checkers    linearizable, lost-write, agreement
        Target      must be able to do: atomic-list

        Its parameters: docs/suite-reference.md
        ");
        for (name, summary) in WORKLOADS {
            assert!(workload(name, summary).contains("Checkers"), "{name} has defaults");
        }
    }

    #[test]
    fn the_words_of_reports_are_explained_and_hide_no_name_that_list_has() {
        for (name, text) in terms::TERMS {
            let is_metric = Metric::ALL.into_iter().any(|metric| metric.name() == name);
            assert!(!is_metric && !KINDS.iter().any(|kind| kind.name == name), "{name}");
            assert!(!text.ends_with('\n'), "{name}");
        }
        for (_, known) in terms::SPELLINGS {
            let is_kind = AnomalyKind::ALL.into_iter().any(|kind| kind.name() == known);
            assert!(is_kind || terms::TERMS.iter().any(|(name, _)| *name == known), "{known}");
        }
    }

    #[test]
    fn a_name_that_is_almost_right_is_corrected() {
        let topics = [topic("lost-write", String::new), topic("kill", String::new)];
        assert!(unknown("lost-wirte", &topics).text.contains("a similar name exists: lost-write"));
        assert!(unknown("zzz", &topics).text.contains("splitbrain list"));
    }
}
