"""What is said of a field that is empty, or not as it should be, on more than one page. Translated where shown."""

from covey_portal.languages import N_

EMAIL = N_("Enter an email address, such as name@example.org")
NOT_THE_SAME = N_("The two addresses are not the same")
PASSWORD = N_("Enter your password")
CODE = N_("Enter the code")
TOKEN = N_("Enter the code from the email")
INITIAL = N_("Enter one letter, or nothing")
NOT_A_NAME = N_("Enter a name of 60 characters at most, without a web or email address")
NOT_A_DAY = N_("Enter a day, such as 2026-03-31")
NOT_A_PAST_DAY = N_("Enter a day from 2000 on that has come, such as 2026-03-31")
TOO_LONG = N_("Enter 200 characters at most")
FILTER_TOO_LONG = N_("Enter 100 characters at most")
