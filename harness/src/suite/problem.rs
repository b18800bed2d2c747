//! What is wrong with a suite, shown with its place in the text.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A name is suggested when it is at least this similar (Jaro-Winkler, from 0 to 1): one or two
/// letters wrong, or a longer form of the same word.
const SIMILAR: f64 = 0.8;

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
    text: String,
}

impl SuiteError {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> SuiteError {
        problems.sort_by_key(|problem| problem.span.start);
        SuiteError { file: file.to_string(), problems, text: text.to_string() }
    }

    /// The text for people, with colors for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in &self.problems {
            let mut annotation = AnnotationKind::Primary.span(problem.span.clone());
            if !problem.label.is_empty() {
                annotation = annotation.label(problem.label.as_str());
            }
            let snippet =
                Snippet::source(self.text.as_str()).path(self.file.as_str()).annotation(annotation);
            let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        out.push_str(&format!(
            "{}: {} problem{plural}; nothing was run\n",
            self.file,
            self.problems.len()
        ));
        out
    }
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
