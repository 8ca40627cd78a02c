package exchangecmd

import (
	"context"
	"errors"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// mailboxCalendars are the cmdlets of calendar settings and of the calendar
// folder's permissions (13).
func (x *exchange) mailboxCalendars() []entry {
	return append([]entry{
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Get-MailboxCalendarConfiguration", New: func() interp.Cmdlet { return &getCalendarConfiguration{x: x} },
			Synopsis:    "Shows the working hours and the time zone of a mailbox.",
			Description: "These are what the answers to questions for free/busy depend on. Settings of mail clients are not kept here, and are left out.",
			Examples:    []string{`Get-MailboxCalendarConfiguration kim@contoso.com`, `Get-Mailbox | Get-MailboxCalendarConfiguration | Format-Table Identity,Work*`},
			Links:       []string{"Set-MailboxCalendarConfiguration"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Set-MailboxCalendarConfiguration", New: func() interp.Cmdlet { return &setCalendarConfiguration{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes the working hours and the time zone of a mailbox.",
			Description: "Working hours are part of the answer to a question for free/busy. All-day events, and times without a zone, are read in the mailbox's time zone.",
			Examples:    []string{`Set-MailboxCalendarConfiguration kim -WorkingHoursTimeZone "China Standard Time" -WorkDays "Weekdays,Saturday" -WorkingHoursStartTime 09:00:00`},
			Links:       []string{"Get-MailboxCalendarConfiguration"},
		}},
	}, x.folderPermissions()...)
}

// daysOfWeek is the type of -WorkDays; bit n is weekday n, Sunday 0.
type daysOfWeek string

var tDaysOfWeek = &object.Type{Name: "Microsoft.Exchange.Data.Storage.Management.DaysOfWeek", Base: object.TDayOfWeek.Base, Flags: true, Enum: []object.EnumName{
	{Name: "None", Value: 0}, {Name: "Sunday", Value: 1}, {Name: "Monday", Value: 2}, {Name: "Tuesday", Value: 4}, {Name: "Wednesday", Value: 8},
	{Name: "Thursday", Value: 16}, {Name: "Friday", Value: 32}, {Name: "Saturday", Value: 64},
	{Name: "Weekdays", Value: 62}, {Name: "WeekendDays", Value: 65}, {Name: "AllDays", Value: 127},
}}

// PSType is the enumeration.
func (daysOfWeek) PSType() *object.Type { return tDaysOfWeek }

func (d daysOfWeek) bits() (uint8, error) {
	v, err := object.Convert(string(d), tDaysOfWeek)
	if err != nil {
		return 0, err
	}
	return uint8(v.(object.Enum).Value), nil
}

func (k *call) calendarConfiguration(l *recipientLook, r *directory.Recipient) any {
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	name := recipientView{l, r}.identityText()
	return k.bag("Microsoft.Exchange.Data.Storage.Management.MailboxCalendarConfiguration").
		add("WorkDays", object.Enum{Type: tDaysOfWeek, Value: int64(r.Calendar.WorkDays)}).
		add("WorkingHoursStartTime", minutes(r.Calendar.WorkStart)).add("WorkingHoursEndTime", minutes(r.Calendar.WorkEnd)).
		add("WorkingHoursTimeZone", r.Calendar.TimeZone).
		add("MailboxOwnerId", name).add("Identity", name).add("IsValid", true).add("ObjectState", unchanged).Object
}

// storeMailbox is the mailbox that id names, for cmdlets that open it; nil when
// there is none, which has been reported.
func (k *call) storeMailbox(id recipientID) (*directory.Recipient, error) {
	r, err := k.Admin.FindRecipient(k.ctx, k.actor, k.Name(), k.Org, id.key(), directory.MailboxTypes()...)
	if _, missing := errors.AsType[*admin.NotFoundError](err); missing {
		return nil, k.WriteError(k.record("ManagementObjectNotFoundException", "The specified mailbox Identity: '%s' does not exist.", id))
	}
	if err != nil {
		return nil, k.WriteError(k.fail(err))
	}
	return r, nil
}

type getCalendarConfiguration struct {
	x        *exchange
	Identity recipientID `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mailbox: name, alias, address, user principal name, GUID or distinguished name."`
	controller
}

// Run shows the settings.
func (p *getCalendarConfiguration) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	r, err := k.storeMailbox(p.Identity)
	if r == nil {
		return err
	}
	o, err := k.view()
	if err != nil {
		return err
	}
	return k.Emit(k.calendarConfiguration(k.look(o), r))
}

type setCalendarConfiguration struct {
	x                     *exchange
	Identity              recipientID   `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mailbox: name, alias, address, user principal name, GUID or distinguished name."`
	WorkDays              daysOfWeek    `ps:"WorkDays,notempty" help:"Working days, as \"Weekdays,Saturday\"."`
	WorkingHoursStartTime time.Duration `ps:"WorkingHoursStartTime,notempty" help:"When work begins, as 08:00:00, in whole minutes."`
	WorkingHoursEndTime   time.Duration `ps:"WorkingHoursEndTime,notempty" help:"When work ends, as 17:00:00, in whole minutes."`
	WorkingHoursTimeZone  string        `ps:"WorkingHoursTimeZone,notempty" help:"The id of a Windows time zone, as \"China Standard Time\". It is the zone of the whole calendar."`
	WeekStartDay          ignored       `ps:"WeekStartDay" help:"Has no effect: it is a setting of mail clients, and not kept."`
	FirstWeekOfYear       ignored       `ps:"FirstWeekOfYear" help:"Has no effect: it is a setting of mail clients, and not kept."`
	ShowWeekNumbers       ignored       `ps:"ShowWeekNumbers" help:"Has no effect: it is a setting of mail clients, and not kept."`
	TimeIncrement         ignored       `ps:"TimeIncrement" help:"Has no effect: it is a setting of mail clients, and not kept."`
	RemindersEnabled      ignored       `ps:"RemindersEnabled" help:"Has no effect: it is a setting of mail clients, and not kept."`
	ReminderSoundEnabled  ignored       `ps:"ReminderSoundEnabled" help:"Has no effect: it is a setting of mail clients, and not kept."`
	DefaultReminderTime   ignored       `ps:"DefaultReminderTime" help:"Has no effect: it is a setting of mail clients, and not kept."`
	controller
}

// Run changes the settings.
func (p *setCalendarConfiguration) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	next, err := p.change(k)
	if err != nil {
		return k.WriteError(err)
	}
	r, err := k.storeMailbox(p.Identity)
	if r == nil {
		return err
	}
	o, err := k.view()
	if err != nil {
		return err
	}
	name := recipientView{k.look(o), r}.identityText()
	if ok, err := k.should("Setting mailbox calendar configuration \"%s\".", name); !ok {
		return err
	}
	if err := k.ignoring("WeekStartDay", "FirstWeekOfYear", "ShowWeekNumbers", "TimeIncrement", "RemindersEnabled", "ReminderSoundEnabled", "DefaultReminderTime"); err != nil {
		return err
	}
	res, err := k.Admin.SetMailboxCalendarConfiguration(ctx, k.actor, k.Org, r.ID, func(v *directory.CalendarConfiguration) error {
		assign(k, "WorkDays", &v.WorkDays, next.WorkDays)
		assign(k, "WorkingHoursStartTime", &v.WorkStart, next.WorkStart)
		assign(k, "WorkingHoursEndTime", &v.WorkEnd, next.WorkEnd)
		assign(k, "WorkingHoursTimeZone", &v.TimeZone, next.TimeZone)
		return nil
	})
	return changed(k, name, res, err)
}

// change is the settings that were given.
func (p *setCalendarConfiguration) change(k *call) (v directory.CalendarConfiguration, err error) {
	v.TimeZone = p.WorkingHoursTimeZone
	if k.Bound("WorkDays") {
		if v.WorkDays, err = p.WorkDays.bits(); err != nil {
			return v, err
		}
	}
	for _, t := range []struct {
		parameter string
		to        *int
		at        time.Duration
	}{{"WorkingHoursStartTime", &v.WorkStart, p.WorkingHoursStartTime}, {"WorkingHoursEndTime", &v.WorkEnd, p.WorkingHoursEndTime}} {
		if t.at < 0 || t.at > 24*time.Hour || t.at%time.Minute != 0 {
			return v, k.invalid(t.parameter, "\"%s\" is no time of day in whole minutes: write it as 08:00:00.", object.String(t.at))
		}
		*t.to = int(t.at / time.Minute)
	}
	return v, nil
}
