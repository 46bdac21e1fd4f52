//! Known names that are spelled like an unknown one.

/// No name is this long, and comparing costs the product of lengths.
const MAX_CHARACTERS: usize = 128;

const MAX_SUGGESTIONS: usize = 3;

/// The nearest first, at most three, none that is far off.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let letters: Vec<char> = unknown.chars().collect();
    if letters.len() > MAX_CHARACTERS {
        return Vec::new();
    }
    let near = 1 + letters.len() / 4;
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (distance(&letters, name), name))
        .filter(|(distance, _)| *distance <= near)
        .collect();
    found.sort();
    let best = found.first().map_or(0, |(distance, _)| *distance);
    // Beside a slip of the pen, what is twice as far is noise.
    found.retain(|(distance, _)| *distance <= best * 2 + 1);
    found.truncate(MAX_SUGGESTIONS);
    found.into_iter().map(|(_, name)| name).collect()
}

/// Letters to insert, delete, replace, or swap with their neighbour.
fn distance(left: &[char], right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}
