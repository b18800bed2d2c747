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

/// Lays out rows of which the last two columns may be long: what does not fit goes on in the next
/// line of its column, so that nothing is cut short that somebody has to read.
pub(super) fn folded(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let columns = header.len();
    let (left, right) = (columns - 2, columns - 1);
    let before: usize = 2 + (0..left).map(|column| widest(column) + 2).sum::<usize>() + 2;
    let room = WIDTH.saturating_sub(before).max(2 * FOLDED_MIN);
    // The right one gets what it needs, as far as the left one keeps half.
    let right_room = widest(right).min((room / 2).max(room.saturating_sub(widest(left))));
    let left_room = widest(left).min(room - right_room);
    let mut cells = Vec::new();
    for row in rows {
        let fold = |column: usize, room: usize| {
            wrapped_to("", &row[column], room).into_iter().map(|line| line.trim_end().to_string())
        };
        let lefts: Vec<String> = fold(left, left_room).collect();
        let rights: Vec<String> = fold(right, right_room).collect();
        for line in 0..lefts.len().max(rights.len()) {
            let mut cell = match line {
                0 => row[..left].to_vec(),
                _ => vec![String::new(); left],
            };
            cell.push(lefts.get(line).cloned().unwrap_or_default());
            cell.push(rights.get(line).cloned().unwrap_or_default());
            cells.push(cell);
        }
    }
    blank(header, &cells, &[], left)
}

/// The least room for a column that is folded: fewer than two or three words in a line are no text.
const FOLDED_MIN: usize = 16;

/// A text in at most `room` columns.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_string();
    }
    let kept: String = text.chars().take(room.saturating_sub(2)).collect();
    format!("{kept}..")
}

/// A text over as many lines of at most [`WIDTH`] columns as it needs. The first begins with
/// `first`, the others are indented as far; a word that is longer than a line is not broken.
pub fn wrapped(first: &str, text: &str) -> Vec<String> {
    wrapped_to(first, text, WIDTH)
}

fn wrapped_to(first: &str, text: &str, width: usize) -> Vec<String> {
    let indent = first.chars().count();
    let mut lines = Vec::new();
    let mut line = first.to_string();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let longer = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && longer > width {
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
