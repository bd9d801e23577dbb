//! A member's pages.

mod absence;
mod account;
mod addresses;
mod mail;
mod overview;
mod sheet;

use crate::routes::Routes;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(overview::routes)
        .with(addresses::routes)
        .with(mail::routes)
        .with(account::routes)
        .with(absence::routes)
        .with(sheet::routes)
}
