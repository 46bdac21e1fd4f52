//! Kafka's names as Rust writes them, in the way of crate `kafka-protocol`.

/// `ListOffsetsRequest` as `list_offsets_request`.
pub fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let begins_word = at > 0
            && letter.is_uppercase()
            && (!letters[at - 1].is_uppercase()
                || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if begins_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    match &snake[..] {
        "match" | "type" => format!("_{snake}"),
        _ => snake,
    }
}
