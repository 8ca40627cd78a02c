package exchangecmd

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// record makes an error as the Exchange shell shows one (3.6): class is the
// exception's name without its name space.
func (k *call) record(class, format string, args ...any) *object.ErrorRecord {
	text := fmt.Sprintf(format, args...)
	request := k.actor.RequestID
	if request == "" {
		request = uuid.NewString()
	}
	id := fmt.Sprintf("[Server=%s,RequestId=%s,TimeStamp=%s] [FailureCategory=Cmdlet-%s] %08X,%s", strings.ToUpper(hostLabel(k.Server)), request,
		object.FormatDate(k.Now().UTC(), "G"), class, crc32.ChecksumIEEE([]byte(text)), k.classes[k.Name()])
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
		return k.record("ManagementObjectNotFoundException", "Couldn't find object %q. Please make sure that it was spelled correctly or specify a different object.", id)
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
		return k.record("CmdletAccessDeniedException", "%s isn't allowed to run %s: %s. It takes the role %q; ask an administrator of the organization.", k.actor.Name, k.Name(), reason(err), directory.RoleAdmin)
	case errors.Is(err, directory.ErrExists):
		if errors.As(err, &field) {
			return k.record("ADObjectAlreadyExistsException", "Active Directory operation failed on %s. The object '%s' already exists. %s.", k.Server, field.Value, field.Error())
		}
		return k.record("ADObjectAlreadyExistsException", "Active Directory operation failed on %s. %s.", k.Server, reason(err))
	case errors.As(err, &field):
		return k.record("DataValidationException", "%s", reason(err))
	}
	return k.record("LocalizedException", "%s", reason(err))
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

var _ interp.Binder = (*identity)(nil)
