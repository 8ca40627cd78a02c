// Package oidc holds the formats of an authorization server in the shape of Entra
// ID: OpenID discovery documents, key sets, token requests with a client assertion
// and their answers (oauth-s2s reference, 1.5 and 3.4; OpenID Connect Discovery
// 1.0; RFC 7517, 7521, 7523). It decides nothing; see package trust.
package oidc

// TenantTemplate stands for the tenant in the issuer of the documents of
// CommonTenant: a reader puts the token's tid there (oauth-s2s 1.5).
const (
	TenantTemplate = "{tenantid}"
	CommonTenant   = "common"
)

// A Configuration is a discovery document, in the order of oauth-s2s 1.5.
type Configuration struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"` // required by Discovery 3
	JWKSURI               string   `json:"jwks_uri"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	// AssertionAlgorithms are those that client assertions may be signed with.
	AssertionAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	GrantTypes          []string `json:"grant_types_supported"`
	ResponseTypes       []string `json:"response_types_supported"` // required by Discovery 3
	SubjectTypes        []string `json:"subject_types_supported"`
	// SigningAlgorithms are those that tokens are signed with.
	SigningAlgorithms []string `json:"id_token_signing_alg_values_supported"`
}
