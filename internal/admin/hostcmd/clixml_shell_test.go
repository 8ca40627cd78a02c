package hostcmd_test

import "testing"

func TestClixmlFiles(t *testing.T) {
	s := newShell(t)
	s.write(t, "bad.xml", "<a/>")
	steps(t, s, []step{
		{`[pscustomobject]@{Name = 'ToCloud'; Domains = 'a.com', 'b.com'}, 5, 'x' | Export-Clixml o.xml; (gc o.xml -TotalCount 1).Length -gt 40; (gc o.xml -Encoding Byte -TotalCount 2) -join ' '`, "True\n255 254"},
		{`$o = Import-Clixml o.xml; $o.Count; $o[0].Name; $o[0].Domains -join '+'; "$($o[0])"; $o[1] + 1`, "3\nToCloud\na.com+b.com\n@{Name=ToCloud; Domains=a.com b.com}\n6"},
		{`Import-Clixml o.xml -Skip 1 -First 1`, "5"},
		{`$o | Export-Clixml p.xml -Encoding UTF8; Import-Clixml p.xml | select -First 1 | % { $_.PSObject.TypeNames[0] }`, "Deserialized.System.Management.Automation.PSCustomObject"},
		{`1 | Export-Clixml o.xml -NoClobber`, `Error: The file 'C:\o.xml' already exists. [NoClobber,Microsoft.PowerShell.Commands.ExportClixmlCommand]`},
		{`1 | Export-Clixml o.xml -Depth 50`, `Error: Cannot validate argument on parameter 'Depth'. It is a number from 1 to 20. [ParameterArgumentValidationError,Microsoft.PowerShell.Commands.ExportClixmlCommand]`},
		{`1 | Export-Clixml q.xml -WhatIf; Test-Path q.xml`, "False\nInformation: What if: Performing the operation \"Export-Clixml\" on target \"C:\\q.xml\"."},
		{`1 | Export-Clixml no\q.xml`, `Error: Could not find a part of the path 'C:\no\q.xml'. [ExportClixmlIOError,Microsoft.PowerShell.Commands.ExportClixmlCommand]`},
		{`Import-Clixml bad.xml`, `Error: The file 'C:\bad.xml' holds no objects that can be read: the root element is "a", not Objs. [ImportClixml,Microsoft.PowerShell.Commands.ImportClixmlCommand]`},
		{`Import-Clixml none.xml`, `Error: Cannot find path 'C:\none.xml' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.ImportClixmlCommand]`},
		{`Get-Item o.xml | Export-Clixml i.xml; Import-Clixml i.xml | % { $_.Name, $_.FullName, $_.PSObject.TypeNames[0] }`, "o.xml\nC:\\o.xml\nDeserialized.System.IO.FileInfo"},
		{`try { throw 'bad' } catch { $_ | Export-Clixml e.xml }; (Import-Clixml e.xml).FullyQualifiedErrorId`, "bad"},
	})
}
