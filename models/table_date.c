/* Dates and times of day, as logs of sensors have them, in seconds. */
#include "models/table_text.h"

/* Exactly so many digits, at *at, which moves on; -1: there are other characters. */
static int take_digits(const char **at, int digits)
{
    int value = 0;
    for (; digits > 0; digits--, ++*at) {
        if (**at < '0' || **at > '9')
            return -1;
        value = 10 * value + (**at - '0');
    }
    return value;
}

static bool take(const char **at, char c)
{
    bool there = **at == c;
    *at += there;
    return there;
}

/* Days since 1970-01-01 in the Gregorian calendar, by eras of 400 years that begin in March
 * (Hinnant, howardhinnant.github.io/date_algorithms.html). */
static long days_of(int year, int month, int day)
{
    int y = year - (month <= 2), era = y / 400, of_era = y - 400 * era;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return 146097L * era + 365L * of_era + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "12:30", "12:30:15", "12:30:15.250": seconds; false: none. */
static bool take_time(const char **at, double *seconds)
{
    int hour = take_digits(at, 2), minute = take(at, ':') ? take_digits(at, 2) : -1, second = 0;
    double fraction = 0, unit = 0.1;
    if (minute >= 0 && take(at, ':')) {
        second = take_digits(at, 2);
        if (second >= 0 && (**at == '.' || **at == ','))
            for (++*at; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
                fraction += unit * (**at - '0');
    }
    *seconds = 3600.0 * hour + 60.0 * minute + second + fraction;
    return hour >= 0 && hour < 25 && minute >= 0 && minute < 60 && second >= 0 && second < 61;
}

/* "Z", "+01:00", "-0330" or nothing: what is to be taken off, in seconds. */
static bool take_zone(const char **at, double *seconds)
{
    *seconds = 0;
    if (**at == '\0' || take(at, 'Z'))
        return true;
    int sign = take(at, '+') ? 1 : take(at, '-') ? -1 : 0;
    int hours = take_digits(at, 2), minutes = take(at, ':') || **at ? take_digits(at, 2) : 0;
    *seconds = sign * (3600.0 * hours + 60.0 * minutes);
    return sign != 0 && hours >= 0 && minutes >= 0;
}

bool rg_date_of(const char *text, double *seconds)
{
    const char *at = text;
    double time = 0, zone = 0;
    if (take_time(&at, seconds) && *at == '\0')
        return true;
    at = text;
    int year = take_digits(&at, 4), month = take(&at, '-') ? take_digits(&at, 2) : -1;
    int day = take(&at, '-') ? take_digits(&at, 2) : -1;
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    if (*at &&
        !((take(&at, 'T') || take(&at, ' ')) && take_time(&at, &time) && take_zone(&at, &zone)))
        return false;
    *seconds = 86400.0 * (double)days_of(year, month, day) + time - zone;
    return *at == '\0';
}
