package interp

// core is the cmdlets of the language itself (cmdlet reference 16.1, 16.2, 16.5).
func core() []Command {
	util, coreModule := "Microsoft.PowerShell.Utility", "Microsoft.PowerShell.Core"
	return []Command{
		{
			Name: "Where-Object", Module: coreModule, New: func() Cmdlet { return &WhereObject{} }, DefaultSet: "EqualSet",
			Synopsis: "Selects objects by a script block or by a property.", Description: "Objects go on for which the block gives something true, or whose property compares as asked. Without an operator a property is tested for being true.",
			Examples: []string{`Get-IntraOrganizationConnector | Where-Object { $_.Enabled }`, `Get-PartnerApplication | where Realm -eq ''`}, Links: []string{"Select-Object", "ForEach-Object"},
		},
		{
			Name: "ForEach-Object", Module: coreModule, New: func() Cmdlet { return &ForEachObject{} }, DefaultSet: "ScriptBlockSet",
			Synopsis: "Runs a script block for each object.", Description: "The block runs in the scope of the caller. With a member name it gives the property of each object or calls the method.",
			Examples: []string{`1..3 | ForEach-Object { $_ * 2 }`, `Get-Mailbox | ForEach-Object PrimarySmtpAddress`}, Links: []string{"Where-Object"},
		},
		{
			Name: "Select-Object", Module: util, New: func() Cmdlet { return &SelectObject{} },
			Synopsis: "Selects properties or objects.", Description: "With properties it makes new objects that have only these. With First it ends what comes before it in the pipeline as soon as it has enough.",
			Examples: []string{`Get-Mailbox | Select-Object Name, PrimarySmtpAddress -First 5`, `Get-AcceptedDomain | select -ExpandProperty DomainName`}, Links: []string{"Where-Object", "Sort-Object"},
		},
		{
			Name: "Sort-Object", Module: util, New: func() Cmdlet { return &SortObject{} },
			Synopsis: "Sorts objects by properties.", Description: "Objects that are equal keep their order; null comes first. All objects are kept until the last one has come.",
			Examples: []string{`Get-Mailbox | Sort-Object DisplayName`}, Links: []string{"Group-Object", "Select-Object"},
		},
		{
			Name: "Group-Object", Module: util, New: func() Cmdlet { return &GroupObject{} },
			Synopsis: "Groups objects of equal properties.", Description: "Each group has its values, its name and its objects.",
			Examples: []string{`Get-Recipient | Group-Object RecipientType -NoElement`}, Links: []string{"Sort-Object", "Measure-Object"},
		},
		{
			Name: "Measure-Object", Module: util, New: func() Cmdlet { return &MeasureObject{} },
			Synopsis: "Counts objects and adds up properties.", Description: "Only what is asked for is computed; the rest shows as nothing. No objects are kept.",
			Examples: []string{`Get-Mailbox -ResultSize Unlimited | Measure-Object`, `1..10 | measure -Sum -Average`}, Links: []string{"Group-Object"},
		},
		{
			Name: "Get-Member", Module: util, New: func() Cmdlet { return &GetMember{} },
			Synopsis: "Lists properties and methods of objects.", Description: "For each type that comes it lists the members once.",
			Examples: []string{`Get-AuthConfig | Get-Member -MemberType Properties`}, Links: []string{"Select-Object"},
		},
		{
			Name: "New-Object", Module: util, New: func() Cmdlet { return &NewObject{} }, DefaultSet: "Net",
			Synopsis: "Makes an object of a known type.", Description: "The types are those of a closed list: strings, lists, dates, certificates and the like.",
			Examples: []string{`New-Object System.Security.Cryptography.X509Certificates.X509Certificate`, `New-Object -ComObject Scripting.FileSystemObject`}, Links: []string{"Get-Member"},
		},
		{
			Name: "Add-Member", Module: util, New: func() Cmdlet { return &AddMember{} },
			Synopsis: "Adds a note property to objects.", Description: "The object itself gets the member; a value that is no object is wrapped.",
			Examples: []string{`$o = New-Object PSObject; $o | Add-Member NoteProperty Name x; $o`}, Links: []string{"Get-Member"},
		},
		{
			Name: "Write-Output", Module: util, New: func() Cmdlet { return &WriteOutput{} },
			Synopsis: "Writes objects to the pipeline.", Description: "Collections are taken apart, one level.",
			Examples: []string{`Write-Output 1, 2, 3`}, Links: []string{"Write-Host"},
		},
		{
			Name: "Write-Host", Module: util, New: func() Cmdlet { return &WriteHost{} },
			Synopsis: "Writes text to the screen.", Description: "What it shows never goes into the pipeline.",
			Examples: []string{`Write-Host 'done' -ForegroundColor Green`}, Links: []string{"Write-Output"},
		},
		{
			Name: "Write-Verbose", Module: util, New: func() Cmdlet { return &WriteVerbose{} },
			Synopsis: "Writes to the verbose stream.",
			Examples: []string{`Write-Verbose 'reading' -Verbose`}, Links: []string{"Write-Debug", "Write-Warning"},
		},
		{
			Name: "Write-Warning", Module: util, New: func() Cmdlet { return &WriteWarning{} },
			Synopsis: "Writes to the warning stream.",
			Examples: []string{`Write-Warning 'the certificate ends soon'`}, Links: []string{"Write-Error"},
		},
		{
			Name: "Write-Debug", Module: util, New: func() Cmdlet { return &WriteDebug{} },
			Synopsis: "Writes to the debug stream.",
			Examples: []string{`Write-Debug 'x is 1' -Debug`}, Links: []string{"Write-Verbose"},
		},
		{
			Name: "Write-Information", Module: util, New: func() Cmdlet { return &WriteInformation{} },
			Synopsis: "Writes to the information stream.",
			Examples: []string{`Write-Information 'step 1' -InformationAction Continue`}, Links: []string{"Write-Host"},
		},
		{
			Name: "Write-Progress", Module: util, New: func() Cmdlet { return &WriteProgress{} },
			Synopsis: "Reports progress.",
			Examples: []string{`Write-Progress -Activity 'Reading' -PercentComplete 50`}, Links: []string{"Write-Verbose"},
		},
		{
			Name: "Write-Error", Module: util, New: func() Cmdlet { return &WriteError{} }, DefaultSet: "NoException",
			Synopsis: "Writes to the error stream.", Description: "The error does not end the script unless -ErrorAction or $ErrorActionPreference says Stop.",
			Examples: []string{`Write-Error 'the connector is gone' -Category ObjectNotFound`}, Links: []string{"Write-Warning"},
		},
		{
			Name: "Out-Null", Module: coreModule, New: func() Cmdlet { return &OutNull{} },
			Synopsis: "Discards its input.",
			Examples: []string{`mkdir C:\OAuthConfig | Out-Null`}, Links: []string{"Out-Host"},
		},
		{
			Name: "Out-String", Module: util, New: func() Cmdlet { return &OutString{} },
			Synopsis: "Turns objects into text.", Description: "The text is what the screen would show.",
			Examples: []string{`Get-AuthConfig | Format-List | Out-String -Stream | Where-Object { $_ -like '*Thumbprint*' }`}, Links: []string{"Out-File"},
		},
		{
			Name: "Out-Host", Module: coreModule, New: func() Cmdlet { return &OutHost{} },
			Synopsis: "Shows objects on the screen.",
			Examples: []string{`Get-Date | Out-Host`}, Links: []string{"Out-String"},
		},
		{
			Name: "Out-Default", Module: coreModule, New: func() Cmdlet { return &OutDefault{} },
			Synopsis: "Shows objects on the screen.", Description: "The end of every pipeline that nothing takes.",
			Examples: []string{`Get-Date | Out-Default`}, Links: []string{"Out-Host"},
		},
		{
			Name: "Out-File", Module: util, New: func() Cmdlet { return &OutFile{} }, ShouldProcess: true,
			Synopsis: "Writes objects as text to a file.", Description: "The file gets what the screen would show, in UTF-8, while it comes.",
			Examples: []string{`Get-IntraOrganizationConnector | Format-List | Out-File C:\connectors.txt`}, Links: []string{"Export-Csv", "Tee-Object"},
		},
		{
			Name: "Tee-Object", Module: util, New: func() Cmdlet { return &TeeObject{} },
			Synopsis: "Keeps a copy of what goes through.",
			Examples: []string{`Get-Mailbox | Tee-Object -Variable all | Measure-Object`}, Links: []string{"Out-File"},
		},
		{
			Name: "ConvertTo-Json", Module: util, New: func() Cmdlet { return &ConvertToJSON{} },
			Synopsis: "Writes objects as JSON.", Description: "The layout and the escapes are those of Windows PowerShell 5.1. All objects are kept until the last one has come.",
			Examples: []string{`Get-AuthServer | ConvertTo-Json -Depth 3`}, Links: []string{"ConvertFrom-Json"},
		},
		{
			Name: "ConvertFrom-Json", Module: util, New: func() Cmdlet { return &ConvertFromJSON{} },
			Synopsis: "Reads objects from JSON.", Description: "An array comes out as one object.",
			Examples: []string{`'{"a": 1}' | ConvertFrom-Json`}, Links: []string{"ConvertTo-Json"},
		},
		{
			Name: "ConvertTo-Csv", Module: util, New: func() Cmdlet { return &ConvertToCSV{} },
			Synopsis: "Writes objects as comma-separated lines.", Description: "The first object decides the columns.",
			Examples: []string{`Get-AcceptedDomain | ConvertTo-Csv -NoTypeInformation`}, Links: []string{"Export-Csv", "ConvertFrom-Csv"},
		},
		{
			Name: "ConvertFrom-Csv", Module: util, New: func() Cmdlet { return &ConvertFromCSV{} },
			Synopsis: "Reads objects from comma-separated lines.", Description: "All values are texts.",
			Examples: []string{`'a,b', '1,2' | ConvertFrom-Csv`}, Links: []string{"Import-Csv"},
		},
		{
			Name: "Export-Csv", Module: util, New: func() Cmdlet { return &ExportCSV{} }, ShouldProcess: true,
			Synopsis: "Writes objects to a CSV file.", Description: "The first object decides the columns. The file is written while the objects come.",
			Examples: []string{`Get-Mailbox | Export-Csv C:\mailboxes.csv -NoTypeInformation`}, Links: []string{"Import-Csv", "ConvertTo-Csv"},
		},
		{
			Name: "Import-Csv", Module: util, New: func() Cmdlet { return &ImportCSV{} },
			Synopsis: "Reads objects from a CSV file.", Description: "All values are texts.",
			Examples: []string{`Import-Csv C:\mailboxes.csv | ForEach-Object { $_.Alias }`}, Links: []string{"Export-Csv"},
		},
		{
			Name: "Format-List", Module: util, New: func() Cmdlet { return &FormatList{} },
			Synopsis: "Shows objects as lists of properties.", Description: "What it gives is for the screen or a file; Select-Object is for further work.",
			Examples: []string{`Get-WebServicesVirtualDirectory | Format-List AdminDisplayVersion, ExternalUrl`, `Get-AuthConfig | fl *`}, Links: []string{"Format-Table", "Select-Object"},
		},
		{
			Name: "Format-Table", Module: util, New: func() Cmdlet { return &FormatTable{} },
			Synopsis: "Shows objects as a table.", Description: "Widths are computed from the first objects; -AutoSize waits for all. Columns that do not fit the screen are left out.",
			Examples: []string{`Get-IntraOrganizationConnector | Format-Table Name, Enabled -AutoSize`}, Links: []string{"Format-List", "Select-Object"},
		},
		{
			Name: "Format-Wide", Module: util, New: func() Cmdlet { return &FormatWide{} },
			Synopsis: "Shows one property of objects in columns.",
			Examples: []string{`Get-Mailbox | Format-Wide -Column 4`}, Links: []string{"Format-Table"},
		},
		{
			Name: "Get-Command", Module: coreModule, New: func() Cmdlet { return &GetCommand{} },
			Synopsis: "Lists commands.", Description: "A name without a pattern that is no command is an error.",
			Examples: []string{`Get-Command *-IntraOrganization*`, `Get-Command Set-AuthConfig -Syntax`}, Links: []string{"Get-Help"},
		},
		{
			Name: "Get-Help", Module: coreModule, New: func() Cmdlet { return &GetHelp{} },
			Synopsis: "Explains commands.", Description: "Without a switch it shows what a command is for and how it is written. A pattern that fits several commands lists them.",
			Examples: []string{`Get-Help Test-OAuthConnectivity -Full`, `Get-Help New-AuthServer -Parameter AuthMetadataUrl`}, Links: []string{"Get-Command"},
		},
		{
			Name: "Get-Date", Module: util, New: func() Cmdlet { return &GetDate{} },
			Synopsis: "Gives the time.",
			Examples: []string{`Get-Date -Format yyyy-MM-dd`, `(Get-Date).AddDays(30)`}, Links: []string{"Start-Sleep"},
		},
		{
			Name: "Start-Sleep", Module: util, New: func() Cmdlet { return &StartSleep{} }, DefaultSet: "Seconds",
			Synopsis: "Waits.", Description: "Ctrl-C ends it.",
			Examples: []string{`Start-Sleep -Seconds 5`}, Links: []string{"Get-Date"},
		},
		{
			Name: "Get-Variable", Module: util, New: func() Cmdlet { return &GetVariable{} },
			Synopsis: "Lists variables.",
			Examples: []string{`Get-Variable *Preference`}, Links: []string{"Set-Variable"},
		},
		{
			Name: "Set-Variable", Module: util, New: func() Cmdlet { return &SetVariable{} },
			Synopsis: "Sets a variable.",
			Examples: []string{`Set-Variable limit 10`}, Links: []string{"Get-Variable", "Remove-Variable"},
		},
		{
			Name: "Remove-Variable", Module: util, New: func() Cmdlet { return &RemoveVariable{} },
			Synopsis: "Removes a variable.",
			Examples: []string{`Remove-Variable limit`}, Links: []string{"Set-Variable"},
		},
		{
			Name: "Get-Alias", Module: util, New: func() Cmdlet { return &GetAlias{} },
			Synopsis: "Lists aliases.",
			Examples: []string{`Get-Alias fl`}, Links: []string{"Set-Alias"},
		},
		{
			Name: "Set-Alias", Module: util, New: func() Cmdlet { return &SetAlias{} }, Aliases: []string{"New-Alias"},
			Synopsis: "Sets an alias.",
			Examples: []string{`Set-Alias conn Get-IntraOrganizationConnector`}, Links: []string{"Get-Alias"},
		},
		{
			Name: "Invoke-Command", Module: coreModule, New: func() Cmdlet { return &InvokeCommand{} },
			Synopsis: "Runs a script block.",
			Examples: []string{`Invoke-Command { param($x) $x * 2 } -ArgumentList 21`}, Links: []string{"Invoke-Expression"},
		},
		{
			Name: "Invoke-Expression", Module: util, New: func() Cmdlet { return &InvokeExpression{} },
			Synopsis: "Runs text as a script.", Description: "It runs in the scope of the caller. Text from others is better not run.",
			Examples: []string{`Invoke-Expression '1 + 1'`}, Links: []string{"Invoke-Command"},
		},
		{
			Name: "Get-Unique", Module: util, New: func() Cmdlet { return &GetUnique{} },
			Synopsis: "Drops repeated neighbours.", Description: "The objects should be sorted.",
			Examples: []string{`1, 1, 2 | Get-Unique`}, Links: []string{"Sort-Object"},
		},
		{
			Name: "ConvertTo-SecureString", Module: "Microsoft.PowerShell.Security", New: func() Cmdlet { return &ConvertToSecureString{} },
			Synopsis: "Makes a secure string.", Description: "Only plain text can be made secure here; encrypted texts of Windows are bound to its user.",
			Examples: []string{`ConvertTo-SecureString 'P@ssw0rd' -AsPlainText -Force`}, Links: []string{"Get-Credential"},
		},
		{
			Name: "Set-StrictMode", Module: coreModule, New: func() Cmdlet { return &SetStrictMode{} },
			Synopsis: "Strict mode is not available; only -Off is accepted.",
			Examples: []string{`Set-StrictMode -Off`},
		},
	}
}

// coreAliases are the aliases of 7.6 whose commands are here or come with the host.
var coreAliases = map[string]string{
	"?": "Where-Object", "where": "Where-Object", "%": "ForEach-Object", "foreach": "ForEach-Object", "select": "Select-Object", "sort": "Sort-Object",
	"measure": "Measure-Object", "group": "Group-Object", "fl": "Format-List", "ft": "Format-Table", "fw": "Format-Wide", "gm": "Get-Member",
	"gc": "Get-Content", "cat": "Get-Content", "type": "Get-Content", "sc": "Set-Content", "ac": "Add-Content", "gci": "Get-ChildItem", "dir": "Get-ChildItem",
	"ls": "Get-ChildItem", "cd": "Set-Location", "sl": "Set-Location", "chdir": "Set-Location", "pwd": "Get-Location", "gl": "Get-Location",
	"echo": "Write-Output", "write": "Write-Output", "md": "mkdir", "rd": "Remove-Item", "rm": "Remove-Item", "del": "Remove-Item", "erase": "Remove-Item",
	"rmdir": "Remove-Item", "cp": "Copy-Item", "copy": "Copy-Item", "cpi": "Copy-Item", "mv": "Move-Item", "move": "Move-Item", "mi": "Move-Item",
	"ren": "Rename-Item", "ni": "New-Item", "ri": "Remove-Item", "gi": "Get-Item", "gcm": "Get-Command", "gal": "Get-Alias", "sal": "Set-Alias",
	"nal": "New-Alias", "help": "Get-Help", "man": "Get-Help", "gmo": "Get-Module", "ipmo": "Import-Module", "rmo": "Remove-Module", "nsn": "New-PSSession",
	"gsn": "Get-PSSession", "rsn": "Remove-PSSession", "ipsn": "Import-PSSession", "icm": "Invoke-Command", "iex": "Invoke-Expression", "ipcsv": "Import-Csv",
	"epcsv": "Export-Csv", "sleep": "Start-Sleep", "sls": "Select-String", "tee": "Tee-Object", "cls": "Clear-Host", "clear": "Clear-Host",
	"h": "Get-History", "history": "Get-History", "r": "Invoke-History", "gv": "Get-Variable", "sv": "Set-Variable", "rv": "Remove-Variable", "kill": "Stop-Process",
	"ps": "Get-Process", "diff": "Compare-Object", "compare": "Compare-Object", "gu": "Get-Unique", "oh": "Out-Host",
}
