//! What somebody typed into the form of an address, so that it is there again when the form is refused.

use envelope::Address;
use link::services::directory::visits::{AddressOrder, AddressSheet, Denied, DestinationState, Version};

use crate::form::Form;

/// Empty fields for new destinations.
const SPARE: usize = 3;
/// Fields that are read, whatever a form says: far more than any plan has.
const ROWS_MAX: usize = 500;

/// What stands in the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) version: u64,
    pub(crate) keep: bool,
    pub(crate) active: bool,
    pub(crate) label: String,
    pub(crate) rows: Vec<Destination>,
    /// How many fields there may be.
    pub(crate) rows_max: usize,
}

/// A field for a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) text: String,
    pub(crate) on: bool,
    /// How it stands with it, if it was saved before.
    pub(crate) state: Option<DestinationState>,
}

/// The field that a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A destination, by its number.
    Destination(usize),
    /// All destinations together.
    Destinations,
    /// The box that says whether a copy is kept.
    Keep,
    /// The label.
    Label,
    /// None in particular.
    Form,
}

impl Typed {
    /// What is stored.
    pub(crate) fn of(sheet: &AddressSheet) -> Typed {
        let rows = sheet.destinations.iter().map(|to| Destination {
            text: to.address.to_string(),
            // What its owner has not agreed to is wanted all the same.
            on: to.state != DestinationState::Off,
            state: Some(to.state),
        });
        let mut typed = Typed {
            version: sheet.version.0,
            keep: sheet.keep,
            active: sheet.active || !sheet.exists,
            label: sheet.label.clone().unwrap_or_default(),
            rows: rows.collect(),
            rows_max: rows_max(sheet),
        };
        typed.add_fields();
        typed
    }

    /// What came with a form for this address.
    pub(crate) fn read(form: &Form, sheet: &AddressSheet) -> Typed {
        let count = form.text("rows").parse().unwrap_or(0_usize).min(ROWS_MAX);
        let rows = (0..count).map(|at| {
            let text = form.text(&format!("destination-{at}")).to_owned();
            let state = sheet.destinations.iter().find(|to| is(&text, &to.address)).map(|to| to.state);
            Destination { text, on: form.ticked(&format!("on-{at}")), state }
        });
        let mut typed = Typed {
            version: form.text("version").parse().unwrap_or(0),
            keep: form.ticked("keep"),
            active: form.ticked("active"),
            label: form.text("label").to_owned(),
            rows: rows.collect(),
            rows_max: rows_max(sheet),
        };
        if typed.rows.is_empty() {
            typed.add_fields();
        }
        typed
    }

    /// Some empty fields more, as far as the plan goes.
    pub(crate) fn add_fields(&mut self) {
        let empty = || Destination { text: String::new(), on: true, state: None };
        let count = (self.rows.len() + SPARE).min(self.rows_max).max(self.rows.len());
        self.rows.resize_with(count, empty);
    }

    /// Whether there can be more fields.
    pub(crate) fn has_room(&self) -> bool {
        self.rows.len() < self.rows_max
    }

    /// What is to be done.
    pub(crate) fn order(&self, address: Address) -> AddressOrder {
        let filled = self.rows.iter().filter(|row| !row.text.is_empty());
        AddressOrder {
            address,
            version: Version(self.version),
            keep: self.keep,
            destinations: filled.map(|row| (row.text.clone(), row.on)).collect(),
            label: Some(self.label.clone()).filter(|label| !label.is_empty()),
            active: self.active,
        }
    }

    /// Where what was typed is wrong.
    pub(crate) fn place(&self, denied: &Denied) -> Place {
        let whichever = |at: Option<usize>| at.map_or(Place::Destinations, Place::Destination);
        match denied {
            Denied::NotADestination(typed) => {
                whichever(self.rows.iter().position(|row| row.text == typed.trim()))
            }
            Denied::TwiceTheSame(address) => {
                whichever(self.rows.iter().rposition(|row| is(&row.text, address)))
            }
            Denied::TooManyDestinations { .. } | Denied::Circle => Place::Destinations,
            Denied::Nowhere => Place::Keep,
            Denied::NotALabel | Denied::LabelTaken => Place::Label,
            _ => Place::Form,
        }
    }
}

/// At least one field, whatever the plan says: a destination that was there before can be taken away.
fn rows_max(sheet: &AddressSheet) -> usize {
    (sheet.forward_limit as usize).max(sheet.destinations.len()).min(ROWS_MAX)
}

/// Whether that text is this address, whatever its case.
fn is(text: &str, address: &Address) -> bool {
    text.parse::<Address>().is_ok_and(|typed| {
        typed.host == address.host && typed.local_part.folded() == address.local_part.folded()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::addresses::tests::sheet;

    fn read(form: &str) -> Typed {
        Typed::read(
            &Form::read(form),
            &sheet("foo@abc.pobox.example", &[("u@peer.example", DestinationState::On)]),
        )
    }

    #[test]
    fn what_was_typed_is_there_again_with_more_fields() {
        let mut typed = read(
            "version=7&rows=2&destination-0=U%40peer.example&on-0=on&destination-1=+x+&keep=on&label=shop",
        );
        assert_eq!((typed.version, typed.keep, typed.active, typed.label.as_str()), (7, true, false, "shop"));
        assert_eq!(typed.rows[0].state, Some(DestinationState::On));
        assert_eq!((typed.rows[1].text.as_str(), typed.rows[1].on), ("x", false));
        typed.add_fields();
        assert_eq!(typed.rows.len(), 5);
        assert!(typed.has_room());
        for _ in 0..9 {
            typed.add_fields();
        }
        assert_eq!((typed.rows.len(), typed.has_room()), (10, false));
    }

    #[test]
    fn empty_fields_are_left_out_of_the_order() {
        let order = read("rows=3&destination-1=a%40x.example&active=on")
            .order("foo@abc.pobox.example".parse().unwrap());
        assert_eq!(order.destinations, [("a@x.example".to_owned(), false)]);
        assert_eq!((order.label, order.active), (None, true));
    }

    #[test]
    fn a_trouble_stands_at_its_field() {
        let typed =
            read("rows=3&destination-0=a%40x.example&destination-1=%7Cprogram&destination-2=A%40x.example");
        for (denied, place) in [
            (Denied::NotADestination("|program".into()), Place::Destination(1)),
            (Denied::TwiceTheSame("a@x.example".parse().unwrap()), Place::Destination(2)),
            (Denied::TooManyDestinations { limit: 10 }, Place::Destinations),
            (Denied::Nowhere, Place::Keep),
            (Denied::NotALabel, Place::Label),
            (Denied::TooMany { limit: 20 }, Place::Form),
        ] {
            assert_eq!(typed.place(&denied), place);
        }
    }

    #[test]
    fn a_form_with_a_nonsensical_number_of_fields_is_bounded() {
        assert_eq!(read("rows=99999999999999999999999").rows.len(), 3);
        assert_eq!(read("rows=100000").rows.len(), ROWS_MAX);
        assert_eq!(read("rows=-1").rows.len(), 3);
    }
}
