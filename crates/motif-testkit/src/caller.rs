//! Plain HTTP with a token. A status that was not expected panics with the whole answer.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Someone who calls the server.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Caller {
    pub(crate) fn new(http: reqwest::Client, url: String, token: Option<String>) -> Self {
        Self { http, url, token }
    }

    /// A request to a path such as `/api/v1/sweeps`, to be refined and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Response {
        request.send().await.expect("the server answers")
    }

    /// Gets a document.
    ///
    /// # Panics
    /// When the status is not 200 or the body is another document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let response = self.send(self.request(Method::GET, path)).await;
        expect_json(response, StatusCode::OK, path).await
    }

    /// Gets text.
    ///
    /// # Panics
    /// When the status is not 200.
    pub async fn text(&self, path: &str) -> String {
        let response = self.send(self.request(Method::GET, path)).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    /// Posts a document and gets another.
    ///
    /// # Panics
    /// When the status is not the expected one or the body is another document.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
        status: StatusCode,
    ) -> T {
        let response = self.send(self.request(Method::POST, path).json(body)).await;
        expect_json(response, status, path).await
    }

    /// Sends a request that must be refused, and gets the problem document.
    ///
    /// # Panics
    /// When the status is another one or the answer is no problem document.
    pub async fn refused(&self, request: RequestBuilder, status: StatusCode) -> motif_wire::problem::Problem {
        let response = self.send(request).await;
        let media_type = response.headers().get("content-type").cloned();
        let found = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(found, status, "{text}");
        let media_type = media_type.expect("a problem has a media type");
        assert_eq!(media_type, motif_wire::problem::PROBLEM_MEDIA_TYPE, "{text}");
        let problem: motif_wire::problem::Problem =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(problem.status, status.as_u16());
        assert!(problem.request_id.is_some(), "a problem carries the request's id: {text}");
        problem
    }

    /// Submits a spec.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn submit(&self, spec: &Value) -> motif_wire::sweeps::SweepDetail {
        self.post("/api/v1/sweeps", spec, StatusCode::CREATED).await
    }
}

async fn expect_json<T: DeserializeOwned>(response: Response, status: StatusCode, path: &str) -> T {
    let found = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}
