//! What is wrong with a suite, shown with its place in the text.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A name is suggested when it is at least this similar (Jaro-Winkler, from 0 to 1): one or two
/// letters wrong, or a longer form of the same word.
const SIMILAR: f64 = 0.8;

/// A label behind the underlined place is no longer than this; what is longer, such as the names of
/// all switches, is told below the frame.
const LABEL_MAX: usize = 64;

/// The columns of a note: with the frame's margin it fits into a report's hundred.
const NOTE_WIDTH: usize = 84;

/// One thing that is wrong with a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the text; within one line.
    pub span: Range<usize>,
    /// Line and column of its beginning, both from one; columns count characters.
    pub at: (usize, usize),
    /// What was expected there; empty when the message says it.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Everything that is wrong with a suite. The plain text of it (`Display`) shows each problem with
/// file, line, column and the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteError {
    /// The name of the file.
    pub file: String,
    /// In the order of the text; never empty.
    pub problems: Vec<Problem>,
    /// Whether reading ended at the problem, so that nobody looked further.
    is_of_form: bool,
    text: String,
}

impl SuiteError {
    /// Everything that is wrong with a suite that could be read.
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> SuiteError {
        problems.sort_by_key(|problem| problem.span.start);
        let (file, text) = (file.to_string(), text.to_string());
        SuiteError { file, problems, is_of_form: false, text }
    }

    /// What ended the reading of a suite.
    pub(super) fn of_form(file: &str, text: &str, problem: Problem) -> SuiteError {
        SuiteError { is_of_form: true, ..SuiteError::new(file, text, vec![problem]) }
    }

    /// The text for people, with colors for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in &self.problems {
            let mut annotation = AnnotationKind::Primary.span(problem.span.clone());
            let is_long = problem.label.chars().count() > LABEL_MAX;
            if !problem.label.is_empty() && !is_long {
                annotation = annotation.label(problem.label.as_str());
            }
            let snippet =
                Snippet::source(self.text.as_str()).path(self.file.as_str()).annotation(annotation);
            let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
            let expected = wrapped(&problem.label);
            if is_long {
                group = group.element(Level::NOTE.message(expected.as_str()));
            }
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        let found = match (self.is_of_form, self.problems.len()) {
            (true, _) => "it could not be read further, there may be more".to_string(),
            (false, 1) => "1 problem".to_string(),
            (false, several) => format!("{several} problems"),
        };
        out.push_str(&format!("{}: {found}; nothing was run\n", self.file));
        out
    }
}

/// A long text over several lines, for a note below the frame.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > NOTE_WIDTH {
            lines.push(word.to_string());
        } else {
            *line = format!("{line} {word}").trim_start().to_string();
        }
    }
    lines.join("\n")
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for SuiteError {}

/// The nearest of some names, when one is near enough to have been meant.
pub(super) fn nearest<'a>(got: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .filter(|name| *name != got)
        .map(|name| (strsim::jaro_winkler(got, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// [`nearest`] as a help text.
pub(super) fn similar<'a>(got: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(got, names).map(|name| format!("a similar name exists: `{name}`"))
}
