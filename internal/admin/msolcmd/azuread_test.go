package msolcmd_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
)

const appID = "dd02c40f-1325-46c2-a118-4659db8a55d5"

// consent makes an application of the tenant's own and gives it Exchange's role.
const consent = `Import-Module AzureAD; $null = Connect-AzureAD
$null = New-MsolServicePrincipal -DisplayName ExchangeServerApp -AppPrincipalId ` + appID + ` -WA Ignore
$app = Get-AzureADServicePrincipal -SearchString exchangeserver
$exchange = Get-AzureADServicePrincipal -Filter "AppId eq '` + exchange + `'"
$role = $exchange.AppRoles | ? Value -eq full_access_as_app
$a = New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id $role.Id
`

func TestAzureADCmdlets(t *testing.T) {
	const connect = "$null = Connect-AzureAD; "
	for _, tt := range []struct{ name, script, out, log string }{
		{"nobody is connected", "Get-AzureADServicePrincipal; $Error[0].FullyQualifiedErrorId", "Microsoft.Open.Azure.AD.CommonLibrary.AadNeedAuthenticationException,Microsoft.Open.AzureAD16.PowerShell.GetServicePrincipal\n",
			"You must call the Connect-AzureAD cmdlet before calling any other cmdlets.\n"},
		{"connect", "Connect-AzureAD -AzureEnvironmentName azurechinacloud -TenantDomain Contoso.com; Get-MsolDomain -DomainName contoso.com | % Name", `
Account           Environment     TenantId                             TenantDomain                 AccountType
-------           -----------     --------                             ------------                 -----------
admin@contoso.com azurechinacloud ` + tenant + ` contoso.partner.onmschina.cn User
contoso.com


`, ""},
		{"connect to another directory", "try { Connect-AzureAD -TenantId fabrikam.com } catch { \"$_\" }; Get-AzureADServicePrincipal",
			"Authentication Error: the account admin@contoso.com does not belong to the directory fabrikam.com.\n", "You must call the Connect-AzureAD cmdlet before calling any other cmdlets.\n"},
		{"principals", connect + "Get-AzureADServicePrincipal | fl AppId, DisplayName, ServicePrincipalType, AccessTokenAcceptedVersion; (Get-AzureADServicePrincipal).AppRoles", `

AppId                      : 00000002-0000-0ff1-ce00-000000000000
DisplayName                : Microsoft.Exchange
ServicePrincipalType       : Application
AccessTokenAcceptedVersion : 1





AllowedMemberTypes : {Application}
Description        : Use Exchange Web Services with full access to all mailboxes
DisplayName        : Use Exchange Web Services with full access to all mailboxes
Id                 : dc890d15-9560-4a4c-9b7f-a736ec74ec40
IsEnabled          : True
Value              : full_access_as_app



`, ""},
		{"filters", connect + `foreach ($f in "appid eq '` + exchange + `'", "DisplayName eq 'microsoft.exchange'", "displayname eq 'O''Neil'", "startswith(AppId,'0')", "AppId eq x'") { @(Get-AzureADServicePrincipal -Filter $f -EA SilentlyContinue).Count }; $Error.Count; $Error[0].FullyQualifiedErrorId`,
			"1\n1\n0\n0\n0\n2\nMicrosoft.Open.AzureAD16.Client.ApiException,Microsoft.Open.AzureAD16.PowerShell.GetServicePrincipal\n", ""},
		{"consent", consent + "$a | select * -ExcludeProperty ObjectId, PrincipalId, ResourceId", `

DeletionTimestamp    : 
ObjectType           : AppRoleAssignment
CreationTimestamp    : 5/6/2014 7:08:09 AM
Id                   : dc890d15-9560-4a4c-9b7f-a736ec74ec40
PrincipalDisplayName : ExchangeServerApp
PrincipalType        : ServicePrincipal
ResourceDisplayName  : Microsoft.Exchange



`, ""},
		{"who has it, and what one has", consent + "(Get-AzureADServiceAppRoleAssignment -ObjectId $exchange.ObjectId).PrincipalDisplayName; (Get-AzureADServiceAppRoleAssignedTo -ObjectId $app.ObjectId).ResourceDisplayName; " +
			"@(Get-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId).Count; @(Get-AzureADServiceAppRoleAssignedTo -ObjectId $exchange.ObjectId).Count; Get-AzureADServiceAppRoleAssignedTo -ObjectId " + tenant,
			"ExchangeServerApp\nMicrosoft.Exchange\n0\n0\n", "Service principal was not found.\n"},
		{"consent twice", consent + "New-AzureADServiceAppRoleAssignment -ObjectId $exchange.ObjectId -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id $role.Id -EA SilentlyContinue; \"$($Error[0])\" -match 'has it already'", "True\n", ""},
		{"whose consent", consent + "New-AzureADServiceAppRoleAssignment -ObjectId " + tenant + " -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id $role.Id; " +
			"New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id " + tenant, "",
			"The ObjectId " + tenant + " is neither the PrincipalId nor the ResourceId.\nThe app role " + tenant + " was not found.\n"},
		{"taken away", consent + "Remove-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -AppRoleAssignmentId $a.ObjectId; @(Get-AzureADServiceAppRoleAssignedTo -ObjectId $app.ObjectId).Count; " +
			"Remove-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -AppRoleAssignmentId " + tenant, "0\n", "The app role assignment " + tenant + " was not found.\n"},
		{"taken away by the one whose role it is", consent + "Remove-AzureADServiceAppRoleAssignment -ObjectId $exchange.ObjectId -AppRoleAssignmentId $a.ObjectId; @(Get-AzureADServiceAppRoleAssignedTo -ObjectId $app.ObjectId).Count", "0\n", ""},
		{"roles of one's own", consent + "Set-AzureADServicePrincipal -ObjectId $app.ObjectId -AccessTokenAcceptedVersion 2 -AppRoles @{Id = '2E1D0C9B-0001-4000-8000-000000000001'; Value = 'Rooms.Read'}, @{Id = '2e1d0c9b-0001-4000-8000-000000000002'; Value = 'Rooms.Write'; DisplayName = 'Write'; IsEnabled = $false}; " +
			"$p = Get-AzureADServicePrincipal -ObjectId $app.ObjectId; $p.AccessTokenAcceptedVersion; $p.AppRoles | % { \"$($_.Id) $($_.Value) $($_.DisplayName) $($_.IsEnabled)\" }; " +
			"Set-AzureADServicePrincipal -ObjectId $exchange.ObjectId -AppRoles $exchange.AppRoles; @((Get-AzureADServicePrincipal -ObjectId $exchange.ObjectId).AppRoles).Count; Set-AzureADServicePrincipal -ObjectId $app.ObjectId -AppRoles @{Value = 'x'}",
			"2\n2e1d0c9b-0001-4000-8000-000000000001 Rooms.Read Rooms.Read True\n2e1d0c9b-0001-4000-8000-000000000002 Rooms.Write Write False\n1\n",
			"A role needs an Id and a Value: @{Id = [guid]::NewGuid(); Value = 'Rooms.Read'; DisplayName = 'Read rooms'; IsEnabled = $true}.\n"},
		{"help names what is used today", "@(Get-Command *-AzureAD* | ? { -not ((Get-Help $_.Name) -match 'Modern equivalent') }) | % Name", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, log := newWorld(t).run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOnlyAdministratorsConsent(t *testing.T) {
	w := newWorld(t)
	if _, log := w.run(t, consent); log != "" {
		t.Fatal(log)
	}
	out, log := w.run(t, `$c = New-Object PSCredential 'reader@contoso.com', (ConvertTo-SecureString 'correct horse' -AsPlainText -Force)
$null = Connect-AzureAD -Credential $c
(Get-AzureADServiceAppRoleAssignedTo -ObjectId $app.ObjectId).Id
Remove-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -AppRoleAssignmentId $a.ObjectId -EA SilentlyContinue
New-AzureADServiceAppRoleAssignment -ObjectId $exchange.ObjectId -PrincipalId $exchange.ObjectId -ResourceId $exchange.ObjectId -Id $role.Id -EA SilentlyContinue
"$($Error[0])" -match 'Access Denied'
Set-AzureADServicePrincipal -ObjectId $app.ObjectId -AccountEnabled $false -EA SilentlyContinue
$Error.Count`)
	if want := directory.RoleFullAccessAsApp.ID + "\nTrue\n3\n"; out != want || log != "" {
		t.Errorf("got %q, log %q", out, log)
	}
	r, err := w.store.Realm(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Principals) != 2 || len(r.Principals[0].AppRoleAssignments) != 0 || len(r.Principals[1].AppRoleAssignments) != 1 || !r.Principals[1].AccountEnabled {
		t.Errorf("changed: %+v", r.Principals)
	}
}
