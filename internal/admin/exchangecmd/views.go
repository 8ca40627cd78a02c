package exchangecmd

import "busybridge/internal/ps/format"

// Views are the default tables and lists of the objects that the cmdlets emit.
// Where Exchange's own table is not known (reference 19) it shows what tells the
// objects apart.
func Views() format.Views {
	table := func(columns ...format.Column) format.View {
		return format.View{Shape: format.Table, Columns: columns}
	}
	named := func(names ...string) (out []format.Column) {
		for _, n := range names {
			out = append(out, format.Column{Name: n})
		}
		return out
	}
	col := func(name string, width int) format.Column { return format.Column{Name: name, Width: width} }
	return format.Views{
		configurationTypes + "AuthServer":                 table(col("Name", 20), col("Type", 12), col("IssuerIdentifier", 36), col("Realm", 36), col("Enabled", 7)),
		configurationTypes + "PartnerApplication":         table(col("Name", 24), col("ApplicationIdentifier", 36), col("Realm", 36), col("Enabled", 7)),
		configurationTypes + "IntraOrganizationConnector": table(col("Name", 34), col("TargetAddressDomains", 37), col("DiscoveryEndpoint", 37), col("Enabled", 7)),
		configurationTypes + "AvailabilityAddressSpace":   table(col("ForestName", 36), col("AccessMethod", 14), col("UseServiceAccount", 17), col("ProxyUrl", 0)),
		configurationTypes + "OrganizationRelationship":   table(col("Name", 24), col("DomainNames", 36), col("FreeBusyAccessEnabled", 21), col("FreeBusyAccessLevel", 19), col("Enabled", 7)),
		certificateType:                                                    table(col("Thumbprint", 41), format.Column{Name: "Services", Width: 10, Align: format.AlignLeft, Expr: serviceLetters}, col("Subject", 0)),
		recipientTypes + "Mailbox":                                         table(col("Name", 25), col("Alias", 20), col("ServerName", 16), col("ProhibitSendQuota", 0)),
		recipientTypes + "MailUser":                                        table(col("Name", 40), col("RecipientType", 0)),
		recipientTypes + "User":                                            table(col("Name", 40), col("RecipientType", 0)),
		recipientTypes + "ReducedRecipient":                                table(col("Name", 40), col("RecipientType", 0)),
		recipientTypes + "ExchangeServer":                                  table(col("Name", 20), col("Site", 24), col("ServerRole", 22), col("Edition", 12), col("AdminDisplayVersion", 0)),
		recipientTypes + "ClientAccessServer":                              table(col("Name", 0)),
		"Microsoft.Exchange.Management.StoreTasks.MailboxFolderPermission": table(col("FolderName", 20), col("User", 20), col("AccessRights", 0)),
		calendarSourceType:                                                 table(col("Identity", 40), col("Condition", 18), col("Age", 12), col("Stale", 6), col("Events", 7), col("Url", 0)),
		calendarSourceTestType:                                             table(col("Source", 40), col("Result", 18), col("Events", 7), col("Unreadable", 10), col("FailureText", 0)),
		configurationTypes + "AcceptedDomain":                              table(col("Name", 30), col("DomainName", 30), col("DomainType", 20), col("Default", 0)),
		configurationTypes + "ADWebServicesVirtualDirectory":               table(col("Name", 36), col("Server", 22), col("InternalUrl", 0)),
		configurationTypes + "ADAutodiscoverVirtualDirectory":              table(col("Name", 36), col("Server", 22), col("InternalUrl", 0)),
		freeBusyStepType:                                                   table(col("Hop", 4), col("Name", 14), col("Verdict", 15), col("Milliseconds", 13), col("Facts", 0)),
		validationType:                                                     table(col("Task", 36), col("Detail", 60), col("ResultType", 0)),
		configurationTypes + "ExchangeRoleAssignmentPresentation":          table(col("Role", 36), col("RoleAssigneeName", 36), col("AssignmentMethod", 0)),
		configurationType:                                                  {Shape: format.List, Columns: named(configurationLines...)},
	}
}
