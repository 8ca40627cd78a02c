package autodiscover

import "strings"

// The settings that this program gives (Autodiscover reference 1.4).
const (
	ExternalEwsURL                  = "ExternalEwsUrl"
	InternalEwsURL                  = "InternalEwsUrl"
	ExternalEwsVersion              = "ExternalEwsVersion"
	EwsSupportedSchemas             = "EwsSupportedSchemas"
	CasVersion                      = "CasVersion"
	UserDisplayName                 = "UserDisplayName"
	UserDN                          = "UserDN"
	UserDeploymentID                = "UserDeploymentId"
	AutoDiscoverSMTPAddress         = "AutoDiscoverSMTPAddress"
	CrossOrganizationSharingEnabled = "CrossOrganizationSharingEnabled"
	UserMSOnline                    = "UserMSOnline"
	MapiHTTPEnabled                 = "MapiHttpEnabled"
)

// KnownSetting reports whether name is a published user setting: one that is
// known and not given is SettingIsNotAvailable, any other is InvalidSetting.
func KnownSetting(name string) bool { return known[name] }

var known = func() map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(published) {
		m[name] = true
	}
	return m
}()

// published are the user setting names of the schema (Autodiscover reference 1.4).
const published = `
ActiveDirectoryServer
AlternateMailboxes
AutoDiscoverSMTPAddress
CasVersion
CrossOrganizationSharingEnabled
EcpDeliveryReportUrlFragment
EcpEmailSubscriptionsUrlFragment
EcpPublishingUrlFragment
EcpRetentionPolicyTagsUrlFragment
EcpTextMessagingUrlFragment
EcpVoicemailUrlFragment
EwsSupportedSchemas
ExchangeRpcUrl
ExternalEcpDeliveryReportUrl
ExternalEcpEmailSubscriptionsUrl
ExternalEcpPublishingUrl
ExternalEcpRetentionPolicyTagsUrl
ExternalEcpTextMessagingUrl
ExternalEcpUrl
ExternalEcpVoicemailUrl
ExternalEwsUrl
ExternalEwsVersion
ExternalImap4Connections
ExternalMailboxServer
ExternalMailboxServerAuthenticationMethods
ExternalMailboxServerRequiresSSL
ExternalOABUrl
ExternalPop3Connections
ExternalServerExclusiveConnect
ExternalSmtpConnections
ExternalUMUrl
ExternalWebClientUrls
GroupingInformation
InternalEcpDeliveryReportUrl
InternalEcpEmailSubscriptionsUrl
InternalEcpPublishingUrl
InternalEcpRetentionPolicyTagsUrl
InternalEcpTextMessagingUrl
InternalEcpUrl
InternalEcpVoicemailUrl
InternalEwsUrl
InternalImap4Connections
InternalMailboxServer
InternalMailboxServerDN
InternalOABUrl
InternalPop3Connections
InternalRpcClientServer
InternalServerExclusiveConnect
InternalSmtpConnections
InternalUMUrl
InternalWebClientUrls
InteropExternalEwsUrl
InteropExternalEwsVersion
MailboxDN
MapiHttpEnabled
MobileMailboxPolicyInterop
PublicFolderServer
ShowGalAsDefaultView
UserDN
UserDeploymentId
UserDisplayName
UserMSOnline
`
