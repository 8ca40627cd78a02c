package admin

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/trust"
)

// A MetadataError is a metadata document that cannot be had or used (cmdlet
// reference 4.1: the text is Exchange's).
type MetadataError struct {
	URL string
	Err error
}

func (e *MetadataError) Error() string {
	return fmt.Sprintf("Cannot acquire auth metadata document from '%s'. Error: %v", e.URL, e.Err)
}

func (e *MetadataError) Unwrap() error { return e.Err }

var (
	errNoMetadata  = errors.New("no metadata can be fetched here")
	errNoURL       = errors.New("it has no metadata URL to refresh from")
	errTwoSources  = errors.New("an application identifier and a metadata URL exclude each other")
	errMovedAgain  = errors.New("the metadata URL was changed meanwhile")
	errNoPartnerID = errors.New("want an application identifier or a metadata URL")
)

func (s *Service) fetch(ctx context.Context, url string) (*acs.Document, error) {
	if s.Metadata == nil {
		return nil, &MetadataError{url, errNoMetadata}
	}
	doc, err := s.Metadata.FetchMetadata(ctx, url)
	if err != nil {
		return nil, &MetadataError{url, err}
	}
	return doc, nil
}

var authServers = noun[directory.AuthServer]{
	name:   "AuthServer",
	list:   func(o *directory.Organization) *[]directory.AuthServer { return &o.AuthServers },
	common: func(a *directory.AuthServer) *directory.Common { return &a.Common },
	// Used in the field: Get-AuthServer <issuer identifier> (cmdlet reference 4.2).
	also:      func(a *directory.AuthServer, identity string) bool { return a.IssuerIdentifier == identity },
	normalize: func(a *directory.AuthServer) { a.DomainName = patterns(a.DomainName) },
}

// fromMetadata replaces what an AuthServer has from its document. A realm that
// was left open, as in a multi-tenant cloud, stays open when keepOpen is set.
func (s *Service) fromMetadata(ctx context.Context, a directory.AuthServer, keepOpen bool) (directory.AuthServer, error) {
	if s.Metadata == nil {
		return a, &MetadataError{a.AuthMetadataURL, errNoMetadata}
	}
	n, err := trust.ReadAuthServer(ctx, s.Metadata, a, s.Now())
	if err != nil {
		return a, &MetadataError{a.AuthMetadataURL, err}
	}
	overlay(&a, n, keepOpen)
	return a, nil
}

func overlay(a *directory.AuthServer, n directory.AuthServer, keepOpen bool) {
	if !keepOpen || a.Realm != "" {
		a.Realm = n.Realm
	}
	a.Type, a.IssuerIdentifier, a.TokenIssuingEndpoint = n.Type, n.IssuerIdentifier, n.TokenIssuingEndpoint
	a.CertificateStrings, a.AllowedAudiences, a.RefreshedAt = n.CertificateStrings, n.AllowedAudiences, n.RefreshedAt
	if n.AuthorizationEndpoint != "" {
		a.AuthorizationEndpoint = n.AuthorizationEndpoint
	}
}

// NewAuthServer adds an authorization server (cmdlet reference 4.1; article step
// 1). With a metadata URL the document is fetched now, and issuer, realm, endpoints
// and certificates come from it: from federation metadata for the type AzureAD,
// else from a document of ACS. Without, they are taken as given.
func (s *Service) NewAuthServer(ctx context.Context, actor Actor, org directory.OrgID, a directory.AuthServer) (Result[directory.AuthServer], error) {
	const op = "New-AuthServer"
	if a.Type == "" {
		a.Type = directory.AuthServerACS
	}
	if a.AuthMetadataURL != "" {
		// Who may not create may not make us fetch either.
		sc := scope{org: org, object: authServers.name + " " + a.Name}
		err := s.permit(ctx, actor, op, sc)
		if err == nil {
			a, err = s.fromMetadata(ctx, a, false)
		}
		if err != nil {
			return Result[directory.AuthServer]{}, s.finish(ctx, actor, op, sc, err)
		}
	}
	return create(ctx, s, actor, op, org, authServers, a)
}

// SetAuthServer changes an authorization server (cmdlet reference 4.3). With
// refresh, or when fn changes the metadata URL, the document is fetched again
// and what comes from it is replaced; at the same URL, a document of another
// issuer or realm is refused. fn may be nil, and may be called twice.
func (s *Service) SetAuthServer(ctx context.Context, actor Actor, org directory.OrgID, identity string, refresh bool, fn func(*directory.AuthServer) error) (Result[directory.AuthServer], error) {
	var was directory.AuthServer
	change := func(a *directory.AuthServer) error {
		was = *a
		if fn == nil {
			return nil
		}
		return fn(a)
	}
	return setFetched(ctx, s, actor, "Set-AuthServer", org, authServers, identity, refresh, change, document[directory.AuthServer]{
		url: func(a *directory.AuthServer) string { return a.AuthMetadataURL },
		read: func(ctx context.Context, a directory.AuthServer) (directory.AuthServer, error) {
			n, err := s.fromMetadata(ctx, a, true)
			if err == nil && a.AuthMetadataURL == was.AuthMetadataURL && was.IssuerIdentifier != "" &&
				(n.IssuerIdentifier != was.IssuerIdentifier || n.Realm != a.Realm) {
				return a, &MetadataError{a.AuthMetadataURL, fmt.Errorf("its issuer is now %s@%s, was %s@%s: if that is meant, remove the AuthServer and make it anew",
					n.IssuerIdentifier, n.Realm, was.IssuerIdentifier, was.Realm)}
			}
			return n, err
		},
		apply: func(a *directory.AuthServer, next directory.AuthServer) { overlay(a, next, true) },
	})
}

// RemoveAuthServer removes an authorization server (cmdlet reference 4.4).
func (s *Service) RemoveAuthServer(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.AuthServer], error) {
	return remove(ctx, s, actor, "Remove-AuthServer", org, authServers, identity)
}
