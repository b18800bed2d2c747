//! Glyphs by meaning, and the last step of every text: character set and colors.
//!
//! Sections write plain Unicode. Here, and nowhere else, a finished text is turned into ASCII,
//! glyph for glyph so that columns stay, and verdict words get color. Color only repeats what a
//! word says already; without it nothing is lost.

use crate::measure::cluster::NodeState;
use crate::record::FaultId;

/// How a text is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Which characters may occur.
    pub charset: Charset,
    /// Whether escape codes for color may occur. Off for files and pipes.
    pub color: bool,
}

/// Which characters may occur in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Block elements for bars, dashes and dots.
    #[default]
    Unicode,
    /// Seven bits, the same columns.
    Ascii,
}

/// The levels of a bar, from the least that is more than nothing to the most.
pub(super) const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A measured zero: clients asked and nothing ended well. Unlike a space, which is no data.
pub(super) const ZERO: char = '0';

/// A column without anything to show.
pub(super) const NOTHING: char = ' ';

/// The glyph of a node's state and what the legend says of it.
pub(super) fn node(state: NodeState) -> (char, &'static str) {
    match state {
        NodeState::Unknown => (NOTHING, "not known"),
        NodeState::Down => ('-', "down"),
        NodeState::Paused => ('p', "paused"),
        NodeState::Silent => ('?', "silent"),
        NodeState::Follower => ('f', "follows"),
        NodeState::Candidate => ('c', "candidate"),
        NodeState::Leader => ('L', "leads"),
        NodeState::CutOff => ('x', "cut off"),
        NodeState::CutOffLeader => ('X', "cut off but still leads"),
    }
}

/// The glyph of a fault in its lane: its number, in base 36 so that one column is enough.
pub(super) fn fault(id: FaultId) -> char {
    char::from_digit(id.0 % 36, 36).unwrap_or('*')
}

/// A line across the page, with what it begins written into it.
pub(super) fn rule(head: &str) -> String {
    let head = if head.is_empty() { String::new() } else { format!("==== {head} ") };
    format!("{head}{}", "=".repeat(super::WIDTH.saturating_sub(head.chars().count())))
}

/// Joins the lines of a text, each without trailing blanks, in the characters and colors that the
/// reader can show. Ends with a newline.
pub(super) fn finish(lines: &[String], style: &Style) -> String {
    let mut text = String::new();
    for line in lines {
        let line = match style.charset {
            Charset::Unicode => line.trim_end().to_string(),
            Charset::Ascii => line.trim_end().chars().map(ascii).collect(),
        };
        text.push_str(&if style.color { paint(&line) } else { line });
        text.push('\n');
    }
    text
}

/// One character for one character, so that no column moves.
fn ascii(glyph: char) -> char {
    const LEVELS_ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];
    if let Some(level) = LEVELS.iter().position(|level| *level == glyph) {
        return LEVELS_ASCII[level];
    }
    match glyph {
        '·' | '–' | '—' => '-',
        'σ' => 's',
        'µ' => 'u',
        glyph if glyph.is_ascii() => glyph,
        _ => '?',
    }
}

const GOOD: &str = "\x1b[32m";
const BAD: &str = "\x1b[31m";
const DOUBTFUL: &str = "\x1b[33m";
const TITLE: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The words that color repeats, longer ones before those they contain.
const WORDS: [(&str, &str); 12] = [
    ("NOT EVALUATED", DOUBTFUL),
    ("NOT ENOUGH", DOUBTFUL),
    ("NO EFFECT", DOUBTFUL),
    ("NOT MET", BAD),
    ("HARNESS BUG", BAD),
    ("BROKEN", BAD),
    ("FAIL", BAD),
    ("ENVIRONMENT", DOUBTFUL),
    ("UNDECIDED", DOUBTFUL),
    ("STOPPED", DOUBTFUL),
    ("PASS", GOOD),
    ("MET", GOOD),
];

/// Colors the verdict words of a line, and its title when it is one.
fn paint(line: &str) -> String {
    let mut painted = String::new();
    let mut rest = line;
    let mut at_word_start = true;
    while let Some(glyph) = rest.chars().next() {
        let word = WORDS.iter().find(|(word, _)| {
            let after = rest.strip_prefix(word).map(|after| after.chars().next());
            at_word_start && after.is_some_and(|next| next.is_none_or(|c| !c.is_alphanumeric()))
        });
        if let Some((word, color)) = word {
            painted.push_str(&format!("{color}{word}{PLAIN}"));
            rest = &rest[word.len()..];
            at_word_start = false;
            continue;
        }
        painted.push(glyph);
        rest = &rest[glyph.len_utf8()..];
        // A dash joins: `not-MET` would be somebody's name.
        at_word_start = !(glyph.is_alphanumeric() || glyph == '-' || glyph == '_');
    }
    let title = line.split("  ").next().unwrap_or_default();
    let is_title = title.len() > 2 && title.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
    if is_title && !WORDS.iter().any(|(word, _)| *word == title) {
        return format!("{TITLE}{title}{PLAIN}{}", &painted[title.len()..]);
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(line: &str, charset: Charset, color: bool) -> String {
        finish(&[line.to_string()], &Style { charset, color })
    }

    #[test]
    fn ascii_keeps_every_column() {
        let bars = "  ops/s  ▁▂▃▄▅▆▇█ 0 · 2.1 – 5.2 s é";
        let ascii = finished(bars, Charset::Ascii, false);
        assert_eq!(ascii, "  ops/s  .:-=+*#@ 0 - 2.1 - 5.2 s ?\n");
        assert_eq!(ascii.trim_end().chars().count(), bars.chars().count());
    }

    #[test]
    fn color_repeats_words_and_nothing_else() {
        let painted = finished("  NOT MET  run-MET  METRO  MET", Charset::Unicode, true);
        assert_eq!(painted, "  \x1b[31mNOT MET\x1b[0m  run-MET  METRO  \x1b[32mMET\x1b[0m\n");
        let title = finished("FAULTS  a fault", Charset::Unicode, true);
        assert_eq!(title, "\x1b[1mFAULTS\x1b[0m  a fault\n");
        assert!(!finished("  NOT MET", Charset::Unicode, false).contains('\x1b'));
    }
}
