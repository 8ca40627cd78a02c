package admin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// rdn is the name in a distinguished name: what stands between CN= and the
// next part. ok is false for what is no distinguished name.
func rdn(identity string) (name string, ok bool) {
	isPart := func(s string) bool {
		return len(s) >= 3 && slices.ContainsFunc([]string{"CN=", "OU=", "DC="}, func(p string) bool { return strings.EqualFold(s[:3], p) })
	}
	if !isPart(identity) || !strings.EqualFold(identity[:3], "CN=") {
		return "", false
	}
	for i := range len(identity) {
		if identity[i] == ',' && isPart(identity[i+1:]) {
			return strings.ReplaceAll(identity[len("CN="):i], `\,`, ","), true
		}
	}
	return "", false
}

// find resolves the identity of a recipient; see FindRecipient.
func (s *Service) find(ctx context.Context, org directory.OrgID, identity string, types ...string) (*directory.Recipient, error) {
	list, err := s.named(ctx, org, identity)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, err
	}
	if len(types) > 0 {
		list = slices.DeleteFunc(list, func(r *directory.Recipient) bool { return !slices.Contains(types, r.Type) })
	}
	switch len(list) {
	case 0:
		return nil, &NotFoundError{kindOf(types), identity}
	case 1:
		return list[0], nil
	}
	return nil, &AmbiguousError{kindOf(types), identity}
}

// named are the recipients that the identity may mean. What only one can have
// comes first: GUID, address, user principal name.
func (s *Service) named(ctx context.Context, org directory.OrgID, identity string) ([]*directory.Recipient, error) {
	one := func(r *directory.Recipient, err error) ([]*directory.Recipient, error) {
		return []*directory.Recipient{r}, err
	}
	if identity == "" {
		return nil, nil
	}
	if id := strings.ToLower(identity); directory.IsGUID(id) {
		return orNone(one(s.Store.RecipientByID(ctx, org, id)))
	}
	if a, err := smtpaddr.Parse(identity); err == nil {
		r, err := s.Store.Recipient(ctx, org, a)
		if errors.Is(err, directory.ErrNotFound) {
			r, err = s.Store.RecipientByUPN(ctx, org, a.String())
		}
		return orNone(one(r, err))
	}
	list, err := s.Store.RecipientsByName(ctx, org, identity)
	if err != nil || len(list) > 0 {
		return list, err
	}
	if name, ok := rdn(identity); ok {
		return s.commonlyNamed(ctx, org, name)
	}
	if domain, user, ok := strings.Cut(identity, `\`); ok && domain != "" && !strings.Contains(domain, "/") {
		list, err := s.Store.RecipientsByName(ctx, org, user)
		return slices.DeleteFunc(list, func(r *directory.Recipient) bool {
			return !strings.EqualFold(r.SamAccountName, user) && !strings.EqualFold(r.Alias, user)
		}), err
	}
	// Canonical: contoso.com/Users/Alice; a / of the name itself has a \ before it.
	const slash = "\x00"
	if domain, path, ok := strings.Cut(strings.ReplaceAll(identity, `\/`, slash), "/"); ok && strings.Contains(domain, ".") {
		return s.commonlyNamed(ctx, org, strings.ReplaceAll(path[strings.LastIndexByte(path, '/')+1:], slash, "/"))
	}
	return nil, nil
}

// commonlyNamed are the recipients whose common name it is; other names do not count.
func (s *Service) commonlyNamed(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error) {
	list, err := s.Store.RecipientsByName(ctx, org, name)
	return slices.DeleteFunc(list, func(r *directory.Recipient) bool {
		return directory.FoldKey(r.CommonName()) != directory.FoldKey(name)
	}), err
}

// orNone takes the list away where nothing was found.
func orNone(list []*directory.Recipient, err error) ([]*directory.Recipient, error) {
	if err != nil {
		return nil, err
	}
	return list, nil
}
