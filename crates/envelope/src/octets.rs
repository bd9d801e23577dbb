//! Sizes as people write and read them: `1G`, `500K`, `1000`.

/// What may stand behind a size, and how many octets it is.
const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

/// Octets as people write them: `1G`, `500k`, `1000`. `None` if it is no number, or too large a one.
pub fn parse(text: &str) -> Option<u64> {
    for (letter, unit) in UNITS {
        if let Some(number) = text.strip_suffix([letter, letter.to_ascii_lowercase()]) {
            return number.parse::<u64>().ok()?.checked_mul(unit);
        }
    }
    text.parse().ok()
}

/// Octets for people, in the largest unit that is exact: `1G`, `1536K`, `1000`. [`parse`] reads it back.
pub fn exact(octets: u64) -> String {
    let units = UNITS.iter().rev();
    let mut fits = units.filter(|(_, unit)| octets >= *unit && octets.is_multiple_of(*unit));
    fits.next().map_or_else(|| octets.to_string(), |(letter, unit)| format!("{}{letter}", octets / unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_shown_in_the_largest_unit_that_is_exact() {
        for (octets, text) in
            [(0, "0"), (1023, "1023"), (1536 << 10, "1536K"), (1 << 30, "1G"), (5 << 40, "5T")]
        {
            assert_eq!(exact(octets), text);
        }
        for wrong in ["", "1X", "-1", "99999999T", "M", "1 G"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(octets: u64, shift in 0_u32..64) {
            let octets = octets >> shift << (shift % 41);
            prop_assert_eq!(parse(&exact(octets)), Some(octets));
        }

        #[test]
        fn any_text_is_a_size_or_none(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
