//! What validation finds, and the paths that say where in the document it is.

/// Something that makes no sense, by its path in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::suite) struct Finding {
    /// The way to it from the root.
    pub(in crate::suite) path: Vec<Step>,
    /// What is wrong.
    pub(in crate::suite) message: String,
    /// What was expected; empty when the message says it.
    pub(in crate::suite) label: String,
    /// What to do about it.
    pub(in crate::suite) help: Option<String>,
}

impl Finding {
    /// Says what was expected.
    pub(super) fn label(&mut self, label: String) -> &mut Finding {
        self.label = label;
        self
    }

    /// Says what to do about it.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Finding {
        self.help = Some(help.into());
        self
    }
}

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::suite) enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an element of a list.
    Index(usize),
    /// To a key itself; the last step.
    Name(String),
}

/// A way into a document. Where the document ends before it does, the last place reached counts,
/// so a path may lead to a key that is not there.
#[derive(Clone, Debug)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn root() -> Path {
        Path(Vec::new())
    }

    pub(super) fn key(&self, key: &str) -> Path {
        self.step(Step::Key(key.to_string()))
    }

    pub(super) fn index(&self, index: usize) -> Path {
        self.step(Step::Index(index))
    }

    pub(super) fn name(&self, key: &str) -> Path {
        self.step(Step::Name(key.to_string()))
    }

    fn step(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one, to be completed with [`Finding::label`] and [`Finding::help`].
    pub(super) fn add(&mut self, path: Path, message: String) -> &mut Finding {
        self.0.push(Finding { path: path.0, message, label: String::new(), help: None });
        self.0.last_mut().expect("one was just pushed")
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.0
    }
}
