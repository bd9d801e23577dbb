//! The table of routes. A route cannot be served without saying whom it is for.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, on};

use crate::guard;
use crate::house::House;

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Anybody,
    /// A mail program that sets itself up: it has no key, no cookie and no form's token, and is told only what
    /// everybody may know.
    MailProgram,
    /// Who has signed in: his own things.
    Member,
    /// An operator with second factor.
    Operator,
    /// A program that has a token of any scope: its account's things.
    Token,
    /// A program that has an operator's token.
    OperatorToken,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` where something is filled in.
    pub path: &'static str,
    /// Whom it is for.
    pub who: Who,
}

/// Routes that are put together.
pub struct Routes {
    house: Arc<House>,
    table: Vec<Route>,
    router: Router<Arc<House>>,
}

impl Routes {
    /// None yet.
    pub fn new(house: &Arc<House>) -> Routes {
        Routes { house: Arc::clone(house), table: Vec::new(), router: Router::new() }
    }

    /// And those.
    #[must_use]
    pub fn with(self, those: fn(Routes) -> Routes) -> Routes {
        those(self)
    }

    /// A page that is looked at.
    #[must_use]
    pub fn get<H: Handler<T, Arc<House>>, T: 'static>(
        self,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.route(Method::GET, MethodFilter::GET, who, path, handler)
    }

    /// A form that is sent.
    #[must_use]
    pub fn post<H: Handler<T, Arc<House>>, T: 'static>(
        self,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.route(Method::POST, MethodFilter::POST, who, path, handler)
    }

    /// A thing that a program replaces.
    #[must_use]
    pub fn put<H: Handler<T, Arc<House>>, T: 'static>(
        self,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.route(Method::PUT, MethodFilter::PUT, who, path, handler)
    }

    /// A thing that a program changes in part.
    #[must_use]
    pub fn patch<H: Handler<T, Arc<House>>, T: 'static>(
        self,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.route(Method::PATCH, MethodFilter::PATCH, who, path, handler)
    }

    /// A thing that a program removes.
    #[must_use]
    pub fn delete<H: Handler<T, Arc<House>>, T: 'static>(
        self,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.route(Method::DELETE, MethodFilter::DELETE, who, path, handler)
    }

    fn route<H: Handler<T, Arc<House>>, T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        who: Who,
        path: &'static str,
        handler: H,
    ) -> Routes {
        let guarded = on(filter, handler)
            .layer(middleware::from_fn_with_state((Arc::clone(&self.house), who), guard::admit));
        self.table.push(Route { method, path, who });
        self.router = self.router.route(path, guarded);
        self
    }

    /// The table.
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    pub(crate) fn into_router(self) -> Router {
        self.router
            .method_not_allowed_fallback(guard::other_method)
            .fallback(guard::nowhere)
            .with_state(self.house)
    }
}
