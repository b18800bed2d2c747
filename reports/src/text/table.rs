//! Tables without borders: columns two blanks apart, so people read them and `awk` can too.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding, Style};

use super::WIDTH;

/// Lays out rows under a header, each line indented by two, one line per row.
///
/// `right` names the columns of numbers. A table that would be wider than a report has the cells
/// of the column `shrink` cut short, with `..` at their end.
pub(super) fn blank(
    header: &[&str],
    rows: &[Vec<String>],
    right: &[usize],
    shrink: usize,
) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = vec![header.iter().map(ToString::to_string).collect()];
    cells.extend(rows.iter().cloned());
    let lines = layout(&cells, right);
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    if width <= WIDTH {
        return lines;
    }
    let widest = cells.iter().map(|row| row[shrink].chars().count()).max().unwrap_or(0);
    let room = widest.saturating_sub(width - WIDTH).max(8);
    for row in &mut cells {
        row[shrink] = shortened(&row[shrink], room);
    }
    layout(&cells, right)
}

/// A text in at most `room` columns.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_string();
    }
    let kept: String = text.chars().take(room.saturating_sub(2)).collect();
    format!("{kept}..")
}

/// A text over as many lines as it needs. The first begins with `first`, the others are indented
/// as far.
pub(super) fn wrapped(first: &str, text: &str) -> Vec<String> {
    let indent = first.chars().count();
    let mut lines = Vec::new();
    let mut line = first.to_string();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let longer = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && longer > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

fn layout(cells: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let mut builder = Builder::default();
    for row in cells {
        builder.push_record(row);
    }
    let mut table = builder.build();
    // The blank style sets columns one blank apart; the padding adds the second.
    table.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
    for column in right {
        table.modify(Columns::one(*column), Alignment::right());
    }
    table.to_string().lines().map(|line| format!("  {}", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_two_blanks_apart_and_numbers_are_right_aligned() {
        let rows = [vec!["read".into(), "22 714".into()], vec!["write".into(), "9".into()]];
        let lines = blank(&["kind", "ok"], &rows, &[1], 0);
        assert_eq!(lines, ["  kind       ok", "  read   22 714", "  write       9"]);
    }

    #[test]
    fn a_table_too_wide_for_a_report_shortens_one_column() {
        let rows = [vec!["a".repeat(80), "b".repeat(40)]];
        let lines = blank(&["one", "two"], &rows, &[], 0);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[1].contains("a.."));
        assert!(lines[1].ends_with(&"b".repeat(40)));
    }

    #[test]
    fn long_text_is_wrapped_at_words_and_indented() {
        let lines = wrapped("  why  ", &"word ".repeat(40));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with("       word"));
    }
}
