package exchangecmd

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// record makes an error as the Exchange shell shows one (3.6): class is the
// exception's name without its name space. The eight digits are the same for
// each error of a kind.
func (k *call) record(class, format string, args ...any) *object.ErrorRecord {
	text := fmt.Sprintf(format, args...)
	request := k.actor.RequestID
	if request == "" {
		request = uuid.NewString()
	}
	id := fmt.Sprintf("[Server=%s,RequestId=%s,TimeStamp=%s] [FailureCategory=Cmdlet-%s] %08X,%s", strings.ToUpper(hostLabel(k.Server)), request,
		object.FormatDate(k.Now().UTC(), "G"), class, crc32.ChecksumIEEE([]byte(k.Name()+class+format)), k.classes[k.Name()])
	r := object.NewError(id, object.NotSpecified, nil, "%s", text)
	r.Reason = class
	return r
}

func hostLabel(host string) string {
	label, _, _ := strings.Cut(host, ".")
	return label
}

// notFound is the error for an identity that names nothing: Get- cmdlets of
// recipients and all other verbs say which server was asked.
func (k *call) notFound(id string) *object.ErrorRecord {
	if strings.HasPrefix(k.Name(), "Get-") && strings.Contains(k.classes[k.Name()], "SystemConfigurationTasks") {
		return k.record("ManagementObjectNotFoundException", "Couldn't find object \"%s\". Please make sure that it was spelled correctly or specify a different object.", id)
	}
	return k.record("ManagementObjectNotFoundException", "The operation couldn't be performed because object '%s' couldn't be found on '%s'.", id, k.Server)
}

// fail is err of an operation in Exchange's words (18).
func (k *call) fail(err error) error {
	var (
		rec       *object.ErrorRecord
		missing   *admin.NotFoundError
		ambiguous *admin.AmbiguousError
		metadata  *admin.MetadataError
		field     *directory.FieldError
	)
	switch {
	case err == nil || errors.As(err, &rec):
		return err
	case k.ctx.Err() != nil:
		return k.ctx.Err()
	case errors.As(err, &missing):
		return k.notFound(missing.Identity)
	case errors.As(err, &ambiguous):
		return k.record("ManagementObjectAmbiguousException", "The operation couldn't be performed because '%s' matches multiple entries.", ambiguous.Identity)
	case errors.As(err, &metadata):
		return k.record("CannotGetAuthMetadataException", "%s", metadata.Error())
	case errors.Is(err, admin.ErrForbidden):
		return k.denied(err)
	case errors.Is(err, directory.ErrExists):
		switch {
		case !errors.As(err, &field):
			return k.record("ADObjectAlreadyExistsException", "Active Directory operation failed on %s. %s", k.Server, sentences(reason(err)))
		case field.Field == "Name" && k.about != "":
			return k.record("ADObjectAlreadyExistsException", "Active Directory operation failed on %s. The object '%s' already exists.", k.Server, k.about)
		}
		return k.record("ADObjectAlreadyExistsException", "%s", sentences(reason(err)))
	case errors.As(err, &field):
		return k.record("DataValidationException", "%s", sentences(reason(err)))
	}
	return k.record("LocalizedException", "%s", sentences(reason(err)))
}

// denied is the error for an actor without the role.
func (k *call) denied(err error) *object.ErrorRecord {
	why := strings.TrimPrefix(reason(err), admin.ErrForbidden.Error()+": ")
	if strings.HasSuffix(why, "has no role for it") {
		role := directory.RoleAdmin
		if strings.HasPrefix(k.Name(), "Get-") || strings.HasPrefix(k.Name(), "Search-") {
			role = directory.RoleView
		}
		why = fmt.Sprintf("it takes the role %q. Ask an administrator of the organization for it", role)
	}
	return k.record("CmdletAccessDeniedException", "%s isn't allowed to run %s: %s.", k.actor.Name, k.Name(), why)
}

// sentences is the lines of an error's text, each as a sentence.
func sentences(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if first, size := utf8.DecodeRuneInString(l); size > 0 {
			l = string(unicode.ToUpper(first)) + l[size:]
		}
		if !strings.HasSuffix(l, ".") {
			l += "."
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}

// reason is err without the operation's name, which the record shows elsewhere.
func reason(err error) string {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err.Error()
		}
		text, inner := err.Error(), u.Unwrap().Error()
		if !strings.HasSuffix(text, ": "+inner) || !strings.Contains(strings.TrimSuffix(text, inner), "-") {
			return text
		}
		err = u.Unwrap()
	}
}

// invalid is the error for a value that the cmdlet itself refuses.
func (k *call) invalid(parameter, format string, args ...any) *object.ErrorRecord {
	return k.record("ParameterBindingValidationException", "Cannot validate argument on parameter '%s'. %s", parameter, fmt.Sprintf(format, args...))
}

var (
	_ interp.Binder = (*identity)(nil)
	_ interp.Binder = (*multiValued)(nil)
	_ interp.Binder = (*domainNames)(nil)
)
