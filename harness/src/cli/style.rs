//! How text is drawn: decided once from flags, environment and terminal, never in between.

use std::env;
use std::io::IsTerminal;

use splitbrain_reports::text::{Charset, Style};

use super::{Characters, Drawing, When};

/// The style of what goes to stdout.
pub(super) fn stdout(drawing: Drawing) -> Style {
    Style {
        charset: charset(drawing.charset),
        color: color(drawing.color, std::io::stdout().is_terminal()),
    }
}

/// The style of a report file: it travels, so it never has escape codes.
pub(super) fn file(drawing: Drawing) -> Style {
    Style { color: false, ..stdout(drawing) }
}

/// Whether error messages, which go to stderr, are colored.
pub(super) fn stderr_color() -> bool {
    color(When::Auto, std::io::stderr().is_terminal())
}

fn charset(asked: Characters) -> Charset {
    // The first of these that is set and not empty decides, as in locale(7).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let utf8 = ["utf-8", "utf8"].iter().any(|name| locale.to_lowercase().contains(name));
    let dumb = set("TERM").is_some_and(|term| term == "dumb");
    match asked {
        Characters::Unicode => Charset::Unicode,
        Characters::Ascii => Charset::Ascii,
        // No locale at all is what containers and CI have; their logs are UTF-8.
        Characters::Auto if !dumb && (utf8 || locale.is_empty()) => Charset::Unicode,
        Characters::Auto => Charset::Ascii,
    }
}

fn color(when: When, terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        // no-color.org, and the convention of CLICOLOR_FORCE.
        When::Auto if set("NO_COLOR").is_some() => false,
        When::Auto if set("CLICOLOR_FORCE").is_some() => true,
        When::Auto => terminal && set("TERM").is_none_or(|term| term != "dumb"),
    }
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
