package exchangecmd

import "busybridge/internal/ps/object"

// enumeration is the type of parameters whose values are names. The names count
// from 0; with flags the first is 0 and each other one a bit.
func enumeration(name string, flags bool, names ...string) *object.Type {
	t := &object.Type{Name: name, Base: object.TDayOfWeek.Base, Flags: flags}
	for i, n := range names {
		v := int64(i)
		if flags && i > 0 {
			v = 1 << (i - 1)
		}
		t.Enum = append(t.Enum, object.EnumName{Name: n, Value: v})
	}
	return t
}

const configurationTypes = "Microsoft.Exchange.Data.Directory.SystemConfiguration."

// The enumerations of parameters. A value that is none of the names is refused
// with the list of them (18); what this program cannot do of them, the operation refuses.
var (
	tAuthServer   = enumeration(configurationTypes+"AuthServerType", false, "Unknown", "MicrosoftACS", "Facebook", "LinkedIn", "ADFS", "AzureAD")
	tAccount      = enumeration(configurationTypes+"SupportedAccountType", false, "OrganizationalAccount", "ConsumerAccount")
	tAccessMethod = enumeration(configurationTypes+"AvailabilityAccessMethod", false, "PerUserFB", "OrgWideFB", "PublicFolder", "OrgWideFBBasic", "InternalProxy", "OrgWideFBToken")
	tFreeBusy     = enumeration(configurationTypes+"FreeBusyAccessLevel", false, "None", "AvailabilityOnly", "LimitedDetails")
	tMailTips     = enumeration(configurationTypes+"MailTipsAccessLevel", false, "None", "All", "Limited")
	tServices     = enumeration("Microsoft.Exchange.Management.SystemConfigurationTasks.AllowedServices", true, "None", "IMAP", "POP", "UM", "IIS", "SMTP", "Federation", "UMCallRouter")
)

// The Go types of such parameters: the value is the name.
type (
	authServerType string
	accountType    string
	accessMethod   string
	freeBusyLevel  string
	mailTipsLevel  string
	services       string // joined by a comma and a blank
)

// The enumeration of each type.
func (authServerType) PSType() *object.Type { return tAuthServer }
func (accountType) PSType() *object.Type    { return tAccount }
func (accessMethod) PSType() *object.Type   { return tAccessMethod }
func (freeBusyLevel) PSType() *object.Type  { return tFreeBusy }
func (mailTipsLevel) PSType() *object.Type  { return tMailTips }
func (services) PSType() *object.Type       { return tServices }
