$appId = Get-Content "$env:SYSTEMDRIVE\OAuthConfig\AppId.txt"
$app = Get-MsolServicePrincipal -AppPrincipalId $appId
$graph = Get-MsolServicePrincipal -ServicePrincipalName 00000003-0000-0000-c000-000000000000

New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $graph.ObjectId -Id 8ba4a692-bc31-4128-9094-475872af8a53
