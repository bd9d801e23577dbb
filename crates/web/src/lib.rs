//! Members' and operators' pages, and the API.
//!
//! A page's way: `routes.rs` knows each page and whom it is for, and nothing is served that does not stand
//! there; `guard.rs` says who comes (his session, his language) and keeps out who may not; the page's own
//! file asks the directory or the queue and fills a template. There is no state here but what a request
//! brings: sessions, drafts and permissions are the directory's, so whoever takes this role over has the
//! sessions of that moment and nothing more.
//!
//! | file | what it does |
//! |---|---|
//! | `house.rs` | what the pages stand on: the directory, the queue, the site |
//! | `routes.rs` | the table of routes, and whom each is for |
//! | `guard.rs` | who comes, and whether he may; what every answer says to browsers |
//! | `visitor.rs` | a visitor as handlers see him: anybody, a member, an operator |
//! | `form.rs` | what a form sends |
//! | `trouble.rs` | why somebody does not get his page, in one place |
//! | `words.rs`, `texts/` | all texts, in Japanese and English |
//! | `frame.rs`, `templates/` | what stands round every page |
//! | `shown.rs` | how times and sizes are shown |
//! | `language.rs` | the switch at the foot of every page |
//! | `figures.rs`, `chart.rs`, `certificate.rs` | numbers and times as operators read them, charts, what the certificate says |
//! | `assets.rs`, `assets/` | style, script and pictures |
//! | `programs/` | mail programs that set themselves up |
//! | `consent.rs` | owners of destinations are asked by mail, and answer |
//! | `life.rs`, `templates/life.html` | the life of a message in plain words |
//! | `advice.rs` | what one can do about other servers' replies |
//! | `moment.rs` | times, in words |
//! | `sign_in.rs`, `sign_in/`, `member/`, `operator/`, `api/` | the pages |

mod advice;
mod api;
mod assets;
mod certificate;
mod chart;
mod consent;
#[cfg(test)]
mod example;
mod figures;
mod form;
mod frame;
mod guard;
mod house;
mod language;
mod life;
mod member;
mod moment;
mod operator;
#[cfg(test)]
mod page_check;
mod programs;
mod routes;
mod shown;
mod sign_in;
#[cfg(test)]
mod stage;
mod trouble;
mod visitor;
mod words;

use std::sync::Arc;

pub use house::{Certificate, House, Site, welcome};
pub use routes::{Route, Routes, Who};

/// All that is served.
pub fn routes(house: &Arc<House>) -> Routes {
    Routes::new(house)
        .with(assets::routes)
        .with(sign_in::routes)
        .with(member::routes)
        .with(language::routes)
        .with(programs::routes)
        .with(api::routes)
        .with(consent::routes)
        .with(operator::routes)
}

/// The service that answers requests. Each must have a [`Connection`] among its extensions.
pub fn app(house: &Arc<House>) -> axum::Router {
    guard::outermost(routes(house).into_router(), house)
}

/// How a request came.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: std::net::IpAddr,
    /// Whether TLS is on.
    pub encrypted: bool,
}
