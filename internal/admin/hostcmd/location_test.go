package hostcmd_test

import "testing"

func TestLocation(t *testing.T) {
	s := newShell(t, withCertificates(certificate(t, "mail.contoso.com", noon)))
	s.write(t, "OAuthConfig/a.txt", "a")
	s.write(t, "Other/b.txt", "b")
	steps(t, s, []step{
		{`Get-Location | % Path`, `C:\`},
		{`cd $env:SYSTEMDRIVE\OAuthConfig; "$(Get-Location)"; gc .\a.txt`, "C:\\OAuthConfig\na"},
		{`"$PWD"; $PWD.Path`, "C:\\OAuthConfig\nC:\\OAuthConfig"},
		{`cd ..\oth*; "$(pwd)"; gc b.txt`, "C:\\Other\nb"},
		{`cd nowhere`, `Error: Cannot find path 'C:\Other\nowhere' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.SetLocationCommand]`},
		{`cd nowhere -ErrorAction SilentlyContinue`, ``},
		{`cd ..\nowhere 2>$null; "$($Error[0].CategoryInfo)"`, `ObjectNotFound: (C:\nowhere:String) [Set-Location], ItemNotFoundException`},
		{`cd b.txt`, `Error: Cannot find path 'C:\Other\b.txt' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.SetLocationCommand]`},
		{`cd \*`, `Error: Cannot set the location because path '\*' resolved to multiple containers. You can only set the location to a single container at a time. [Argument,Microsoft.PowerShell.Commands.SetLocationCommand]`},
		{`cd Cert:\LocalMachine\My; "$(pwd)"; @(dir).Count; cd ..; "$(pwd)"`, "Cert:\\LocalMachine\\My\n1\nCert:\\LocalMachine"},
		{`cd C:; "$(pwd)"`, `C:\Other`},
		{`pushd C:\OAuthConfig; pushd \; popd -PassThru | % Path; popd; popd; "$(pwd)"`, "C:\\OAuthConfig\nC:\\Other"},
		{`pushd C:\OAuthConfig -StackName s; popd; "$(pwd)"; popd -StackName s; "$(pwd)"`, "C:\\OAuthConfig\nC:\\Other"},
		{`popd -StackName s`, `Error: Cannot find location stack 's'. It does not exist or it is not a container. [Argument,Microsoft.PowerShell.Commands.PopLocationCommand]`},
		{`pushd C:\; pushd C:\OAuthConfig; Get-Location -Stack | % Path; popd; popd`, "C:\\\nC:\\Other"},
		{`Get-Location -PSDrive Cert | % Path`, `Cert:\LocalMachine`},
		{`Get-PSDrive | % { "$($_.Name) $($_.Provider) $($_.Root)" }`, "C FileSystem C:\\\nCert Certificate \\"},
		{`Get-PSDrive D 2>$null; "$($Error[0].CategoryInfo)"`, `ObjectNotFound: (D:String) [Get-PSDrive], DriveNotFoundException`},
		{`Get-PSDrive D`, `Error: Cannot find drive. A drive with the name 'D' does not exist. [DriveNotFound,Microsoft.PowerShell.Commands.GetPSDriveCommand]`},
		{`cd ~`, `Error: Cannot find path 'C:\Users\administrator' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.SetLocationCommand]`},
	})
}

func TestPaths(t *testing.T) {
	s := newShell(t)
	s.write(t, "a/b.txt", "")
	steps(t, s, []step{
		{`Split-Path C:\a\b.txt; Split-Path C:\a; Split-Path C:\; Split-Path a; Split-Path C:a`, "C:\\a\nC:\\\n\n\nC:"},
		{`Split-Path C:\a\b.txt -Leaf; Split-Path C:\ -Leaf; Split-Path C:/a/b -Leaf`, "b.txt\nC:\\\nb"},
		{`Split-Path C:\a\b.txt -Qualifier; Split-Path C:\a -NoQualifier; Split-Path C:\a -IsAbsolute; Split-Path a -IsAbsolute`, "C:\n\\a\nTrue\nFalse"},
		{`Split-Path a -Qualifier`, `Error: Cannot parse path because path 'a' does not have a qualifier specified. [ParsePathFormatError,Microsoft.PowerShell.Commands.SplitPathCommand]`},
		{`Split-Path C:\a\*.txt -Leaf -Resolve`, "b.txt"},
		{`Join-Path C:\a b.txt; Join-Path C:\a\ \b.txt; Join-Path C:/a b; Join-Path a ''`, "C:\\a\\b.txt\nC:\\a\\b.txt\nC:\\a\\b\na\\"},
		{`Join-Path Q:\ x`, `Error: Cannot find drive. A drive with the name 'Q' does not exist. [DriveNotFound,Microsoft.PowerShell.Commands.JoinPathCommand]`},
		{`Join-Path C:\a *.txt -Resolve`, `C:\a\b.txt`},
		{`Resolve-Path a\*.txt | % Path; "$(Resolve-Path A)"`, "C:\\a\\b.txt\nC:\\a"},
		{`Resolve-Path a\b.txt -Relative; cd a; Resolve-Path \a\b.txt -Relative; Resolve-Path \ -Relative; cd \`, ".\\a\\b.txt\n.\\b.txt\n..\\"},
		{`Convert-Path a`, `C:\a`},
		{`Resolve-Path nothing`, `Error: Cannot find path 'C:\nothing' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.ResolvePathCommand]`},
	})
}
