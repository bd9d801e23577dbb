//! Delivery instructions in words.

use local::dot_qmail::{Context, ForwardTo, Instruction, Instructions};

/// What is done with the mail, an end of a sentence for each: "goes into the mailbox".
pub fn of_text(text: &str) -> Vec<String> {
    match Instructions::parse(text.as_bytes(), &Context::default()) {
        Ok(instructions) => of(&instructions),
        Err(error) => vec![format!("waits, as its instructions cannot be obeyed: {error}")],
    }
}

fn of(instructions: &Instructions) -> Vec<String> {
    let words: Vec<String> = instructions.into_iter().filter_map(of_one).collect();
    if words.is_empty() { vec!["is accepted and thrown away".into()] } else { words }
}

fn of_one(instruction: &Instruction) -> Option<String> {
    Some(match instruction {
        Instruction::Mailbox => MAILBOX.into(),
        Instruction::Maildir(path) => format!("goes into the Maildir {}", path.display()),
        Instruction::Mbox(path) => format!("goes into the mbox file {}", path.display()),
        Instruction::Program(command) => format!("is given to the program {}", command.display()),
        Instruction::Forward(ForwardTo::Address(address)) => format!("is forwarded to {address}"),
        Instruction::Forward(ForwardTo::LocalPart(local_part)) => {
            format!("is forwarded to {local_part} at this host")
        }
        Instruction::Forward(ForwardTo::Undeliverable { text, reason }) => {
            format!("cannot be forwarded to {:?}: {reason}", String::from_utf8_lossy(text))
        }
        Instruction::ForwardOnly => return None,
    })
}

/// What is done without instructions.
pub const MAILBOX: &str = "goes into the mailbox";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instruction_has_its_words() {
        for (text, words) in [
            ("", &["goes into the mailbox"][..]),
            ("# nobody\n", &["is accepted and thrown away"]),
            ("./Maildir/\n&a@x.example\n", &["goes into the mailbox", "is forwarded to a@x.example"]),
            ("+list\njoe\n", &["is forwarded to joe at this host"]),
            ("./old/\n./box\n", &["goes into the Maildir ./old/", "goes into the mbox file ./box"]),
            ("|cat\n", &["is given to the program cat"]),
        ] {
            assert_eq!(of_text(text), words, "{text:?}");
        }
        assert!(of_text("\nx\n")[0].starts_with("waits, as its instructions cannot be obeyed: "));
        assert!(of_text("a@x..example\n")[0].starts_with("cannot be forwarded to \"a@x..example\": "));
    }
}
