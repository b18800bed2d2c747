//! A reader of EDN, the notation in which Clojure's tools write data: one form after the other, from
//! a stream, with the line and column of whatever is wrong. JSON is read as well, as it is nearly a part
//! of EDN: a colon is space there, as commas are in both, and `null` is nil.
//!
//! It reads what histories of other tools are made of, keeps nothing but the form at hand, and knows
//! no operations; [`super::events`] makes events of the forms. A tag is read and dropped, `#_` drops
//! the form behind it, a number that is no 64-bit integer stays a symbol.

use std::fmt::{self, Write as _};
use std::io::BufRead;

use super::error::HistoryError;

/// Forms inside forms, at most. Events have three levels; a recursive reader must have some end.
const DEPTH_MAX: usize = 64;

/// The bytes of one form, at most. The longest events are transactions of some thousand steps; a
/// form without end would fill the memory.
const FORM_MAX: u64 = 4 << 20;

/// One form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edn {
    Nil,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Without its colon.
    Keyword(String),
    /// Whatever else is one word: symbols, other numbers, characters.
    Symbol(String),
    /// A vector, a list or a set.
    Sequence(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
}

impl Edn {
    /// The value of a keyword in a map.
    pub(super) fn get(&self, keyword: &str) -> Option<&Edn> {
        let Edn::Map(entries) = self else { return None };
        let is_it = |(key, _): &&(Edn, Edn)| key.is_named(keyword);
        entries.iter().find(is_it).map(|(_, value)| value)
    }

    /// Whether it is a name of a step or kind, which is a keyword, and in JSON a string.
    pub(super) fn is_named(&self, name: &str) -> bool {
        matches!(self, Edn::Keyword(word) | Edn::Text(word) if word == name)
    }
}

impl fmt::Display for Edn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edn::Nil => f.write_str("nil"),
            Edn::Bool(is) => write!(f, "{is}"),
            Edn::Int(number) => write!(f, "{number}"),
            Edn::Text(text) => quoted(f, text),
            Edn::Keyword(name) => write!(f, ":{name}"),
            Edn::Symbol(word) => f.write_str(word),
            Edn::Sequence(items) => {
                let items: Vec<String> = items.iter().map(Edn::to_string).collect();
                write!(f, "[{}]", items.join(" "))
            }
            Edn::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key} {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
        }
    }
}

/// A string with the escapes that a reader of EDN knows.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            other if other.is_control() => write!(f, "\\u{:04x}", u32::from(other))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// In which of the two notations forms are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Edn,
    Json,
}

/// Where a form begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from one.
    pub(super) line: u64,
    /// In bytes, counted from one.
    pub(super) column: usize,
}

impl Place {
    pub(super) fn wrong(self, what: String) -> HistoryError {
        HistoryError::at_column(self.line, self.column, what)
    }
}

/// Reads the forms of a file, or those of the one vector or list that the file is.
pub(super) struct Forms<R> {
    input: R,
    notation: Notation,
    at: Place,
    /// Bytes left for the form at hand.
    room: u64,
    /// The bracket that closes the whole, if the file is one vector or list.
    closing: Option<(u8, Place)>,
    began: bool,
    /// How many forms are being read, one inside the other.
    depth: usize,
    /// A `#` that has been taken from the input although what follows is no part of the space.
    hash: bool,
}

impl<R: BufRead> Forms<R> {
    pub(super) fn new(input: R, notation: Notation) -> Self {
        Forms {
            input,
            notation,
            at: Place { line: 1, column: 1 },
            room: FORM_MAX,
            closing: None,
            began: false,
            depth: 0,
            hash: false,
        }
    }

    /// Whether the forms stand in one vector or list. Known once the first was read.
    pub(super) fn are_enclosed(&self) -> bool {
        self.closing.is_some()
    }

    /// The next form and its place; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Place, Edn)>, HistoryError> {
        self.room = FORM_MAX;
        let mut first = self.skip_space()?;
        if !self.began {
            self.began = true;
            if let Some(bracket @ (b'[' | b'(')) = first {
                let closing = if bracket == b'[' { b']' } else { b')' };
                self.closing = Some((closing, self.at));
                self.bump()?;
                first = self.skip_space()?;
            }
        }
        let place = self.at;
        match (first, self.closing) {
            (None, None) => Ok(None),
            (None, Some((closing, opened))) => Err(place.wrong(format!(
                "the history is cut off: expected '{}' for the bracket of line {}, column {}",
                char::from(closing),
                opened.line,
                opened.column
            ))),
            (Some(byte), Some((closing, _))) if byte == closing => {
                self.bump()?;
                let after = self.skip_space()?;
                match after {
                    None => Ok(None),
                    Some(_) => Err(self.at.wrong("expected nothing after the history".to_string())),
                }
            }
            (Some(_), _) => Ok(Some((place, self.form()?))),
        }
    }

    fn form(&mut self) -> Result<Edn, HistoryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.at.wrong(format!("forms are nested deeper than {DEPTH_MAX}")));
        }
        let form = self.form_inside()?;
        self.depth -= 1;
        Ok(form)
    }

    fn form_inside(&mut self) -> Result<Edn, HistoryError> {
        let place = self.at;
        match self.skip_space()? {
            None => Err(self.at.wrong("the file ends inside a form".to_string())),
            Some(b'[') => Ok(Edn::Sequence(self.forms(b']')?)),
            Some(b'(') => Ok(Edn::Sequence(self.forms(b')')?)),
            Some(b'{') => {
                let forms = self.forms(b'}')?;
                if forms.len() % 2 == 1 {
                    return Err(
                        place.wrong("expected a value for each key of this map".to_string())
                    );
                }
                let mut forms = forms.into_iter();
                let mut entries = Vec::with_capacity(forms.len() / 2);
                while let (Some(key), Some(value)) = (forms.next(), forms.next()) {
                    entries.push((key, value));
                }
                Ok(Edn::Map(entries))
            }
            Some(b'"') => self.text(),
            Some(b'#') => self.dispatch(),
            Some(b'\'' | b'^' | b'`' | b'~' | b'@') => {
                Err(self.at.wrong("expected data, got the beginning of code".to_string()))
            }
            Some(b']' | b')' | b'}') => {
                Err(self.at.wrong("this bracket closes nothing".to_string()))
            }
            Some(_) => self.word(),
        }
    }

    /// The forms up to a closing bracket; the opening one is next.
    fn forms(&mut self, closing: u8) -> Result<Vec<Edn>, HistoryError> {
        let opened = self.at;
        self.bump()?;
        let mut forms = Vec::new();
        loop {
            match self.skip_space()? {
                None => {
                    return Err(opened.wrong(format!(
                        "this bracket is not closed: the file ends before its '{}'",
                        char::from(closing)
                    )));
                }
                Some(byte) if byte == closing => {
                    self.bump()?;
                    return Ok(forms);
                }
                Some(_) => forms.push(self.form()?),
            }
        }
    }

    /// What follows a `#`: a set, or a tag and its form. `#_` is space and has been skipped.
    fn dispatch(&mut self) -> Result<Edn, HistoryError> {
        let place = self.at;
        self.bump()?;
        match self.peek()? {
            Some(b'{') => Ok(Edn::Sequence(self.forms(b'}')?)),
            // A map of keywords of one namespace; and ##Inf, ##NaN.
            Some(b':') => {
                self.word()?;
                self.form()
            }
            Some(b'#') => {
                self.bump()?;
                self.word()
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                self.word()?;
                self.form()
            }
            _ => Err(place.wrong("expected a set or a tag after '#'".to_string())),
        }
    }

    fn text(&mut self) -> Result<Edn, HistoryError> {
        let opened = self.at;
        self.bump()?;
        let mut bytes = Vec::new();
        loop {
            let place = self.at;
            match self.peek()? {
                None => return Err(opened.wrong("this string is not closed".to_string())),
                Some(b'"') => {
                    self.bump()?;
                    let text = String::from_utf8(bytes)
                        .map_err(|_| opened.wrong("expected UTF-8 in this string".to_string()))?;
                    return Ok(Edn::Text(text));
                }
                Some(b'\\') => {
                    self.bump()?;
                    bytes
                        .extend_from_slice(self.escape(place)?.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => {
                    bytes.push(byte);
                    self.bump()?;
                }
            }
        }
    }

    fn escape(&mut self, place: Place) -> Result<char, HistoryError> {
        let wrong =
            || place.wrong("expected one of \\n \\t \\r \\b \\f \\\\ \\\" \\uXXXX".to_string());
        let byte = self.peek()?.ok_or_else(wrong)?;
        self.bump()?;
        Ok(match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'\\' => '\\',
            b'"' => '"',
            b'/' if self.notation == Notation::Json => '/',
            b'u' => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.peek()?.and_then(|byte| char::from(byte).to_digit(16));
                    code = code * 16 + digit.ok_or_else(wrong)?;
                    self.bump()?;
                }
                // Half of a pair has no meaning of its own.
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(wrong()),
        })
    }

    fn word(&mut self) -> Result<Edn, HistoryError> {
        let place = self.at;
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek()? {
            // A character may be one of the bytes that otherwise end a word.
            let is_character = bytes == b"\\";
            if !is_character && (self.is_space(byte) || b"[](){}\";".contains(&byte)) {
                break;
            }
            bytes.push(byte);
            self.bump()?;
        }
        let word = String::from_utf8(bytes)
            .map_err(|_| place.wrong("expected UTF-8 in this word".to_string()))?;
        let number = word.strip_suffix('N').unwrap_or(&word);
        Ok(match word.as_str() {
            "nil" => Edn::Nil,
            "null" if self.notation == Notation::Json => Edn::Nil,
            "true" => Edn::Bool(true),
            "false" => Edn::Bool(false),
            _ => match (number.parse(), word.strip_prefix(':')) {
                (Ok(number), _) => Edn::Int(number),
                (_, Some("")) => return Err(place.wrong("expected a keyword, got ':'".to_string())),
                (_, Some(name)) => Edn::Keyword(name.to_string()),
                (_, None) => Edn::Symbol(word),
            },
        })
    }

    /// Skips spaces, comments and dropped forms; gives the byte behind them.
    fn skip_space(&mut self) -> Result<Option<u8>, HistoryError> {
        loop {
            match self.peek()? {
                Some(b';') => {
                    while self.peek()?.is_some_and(|byte| byte != b'\n') {
                        self.bump()?;
                    }
                }
                Some(b'#') => {
                    let place = self.at;
                    self.bump()?;
                    if self.peek()? != Some(b'_') {
                        (self.hash, self.at) = (true, place);
                        return Ok(Some(b'#'));
                    }
                    self.bump()?;
                    self.form()?;
                }
                Some(byte) if self.is_space(byte) => self.bump()?,
                other => return Ok(other),
            }
        }
    }

    fn is_space(&self, byte: u8) -> bool {
        byte.is_ascii_whitespace()
            || byte == b','
            || byte == b':' && self.notation == Notation::Json
    }

    fn peek(&mut self) -> Result<Option<u8>, HistoryError> {
        if self.hash {
            return Ok(Some(b'#'));
        }
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// Goes on by one byte, which is there.
    fn bump(&mut self) -> Result<(), HistoryError> {
        let byte = self.peek()?;
        match self.hash {
            true => self.hash = false,
            false => self.input.consume(usize::from(byte.is_some())),
        }
        if byte == Some(b'\n') {
            self.at = Place { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        self.room -= 1;
        if self.room == 0 {
            return Err(self.at.wrong(format!("one form is longer than {FORM_MAX} bytes")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut forms = Forms::new(text.as_bytes(), Notation::Edn);
        let mut all = Vec::new();
        while let Some((place, form)) = forms.next().map_err(|error| error.to_string())? {
            all.push(format!("{}:{} {form}", place.line, place.column));
        }
        Ok(all)
    }

    #[test]
    fn forms_are_read_one_by_one_or_out_of_one_vector_or_list() {
        let forms =
            "{:a 1, :b [-2 \"x\\n\\u0041\"]} ; comment\n#{nil} #inst \"now\" #_ (3 4) #_#_ 1 2 5N";
        let expected = ["1:1 {:a 1, :b [-2 \"x\\nA\"]}", "2:1 [nil]", "2:8 \"now\"", "2:38 5"];
        assert_eq!(read(forms).unwrap(), expected);
        assert_eq!(read("; one\n([1 2] :a/b 1.5)").unwrap(), ["2:2 [1 2]", "2:8 :a/b", "2:13 1.5"]);
        assert_eq!(read("").unwrap(), [""; 0]);
    }

    #[test]
    fn a_string_is_written_as_it_is_read() {
        let text = "a\"\\\n\t\r\u{1}\u{85}\u{e9}'";
        let written = Edn::Text(text.to_string()).to_string();
        assert_eq!(
            Forms::new(written.as_bytes(), Notation::Edn).next().unwrap().map(|(_, form)| form),
            Some(Edn::Text(text.to_string()))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        let errors = [
            "[{:a 1}",
            "[{:a 1} {:b",
            "{:a}",
            "[1] 2",
            "\n \"abc",
            "\"\\x\"",
            "{:a ]}",
            ": 1",
            "#_#_1",
            "#<1>",
            "'a",
        ]
        .map(|text| read(text).unwrap_err());
        insta::assert_snapshot!(errors.join("\n"), @r#"
    line 1, column 8: the history is cut off: expected ']' for the bracket of line 1, column 1
    line 1, column 9: this bracket is not closed: the file ends before its '}'
    line 1, column 1: expected a value for each key of this map
    line 1, column 5: expected nothing after the history
    line 2, column 2: this string is not closed
    line 1, column 2: expected one of \n \t \r \b \f \\ \" \uXXXX
    line 1, column 5: this bracket closes nothing
    line 1, column 1: expected a keyword, got ':'
    line 1, column 6: the file ends inside a form
    line 1, column 1: expected a set or a tag after '#'
    line 1, column 1: expected data, got the beginning of code
    "#);
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("nested deeper than 64"));
        assert!(read(&"{:a #_".repeat(100_000)).unwrap_err().contains("deeper"));
        let long = format!("\"{}\"", "x".repeat(FORM_MAX as usize));
        assert!(read(&long).unwrap_err().contains("longer than"));
    }
}
