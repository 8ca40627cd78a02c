package safehttp

import "net/http"

// BasicAuth signs requests in by HTTP Basic (RFC 7617). A request that follows a
// redirect to another host goes out without the password.
type BasicAuth struct {
	Base           http.RoundTripper // required
	User, Password string
}

// RoundTrip implements http.RoundTripper.
func (b BasicAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	for q := r; q.Response != nil && q.Response.Request != nil; {
		if q = q.Response.Request; q.URL.Host != r.URL.Host {
			return b.Base.RoundTrip(r)
		}
	}
	r = r.Clone(r.Context())
	r.SetBasicAuth(b.User, b.Password)
	return b.Base.RoundTrip(r)
}
