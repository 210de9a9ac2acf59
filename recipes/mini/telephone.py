"""Tables of the telephone grammar: templates and slot fillers for `grammar.expand`. Data only.

Written in the manner of a telephone system and without looking at any test prompt. Entries are parted by bars; one that
stands twice is drawn twice as often.
"""


def _entries(table: str) -> list[str]:
    return [entry.strip() for entry in table.split("|")]


TELEPHONE = _entries("""
{press} {key} to {action}. | {press} {key} to {action}. | {press} {key} to {action}, or {key} to {action}. |
{press} {key} to {action}. | To {action}, {press_l} {key}. | To {action}, {press_l} {key}. | ...to {action}. |
To {action}. | or {key} to {action} | {press} {key} for {dept}. | For {dept}, {press_l} {key}. | For {dept}. |
{press} {key} if {condition}. | If {condition}, {press_l} {key}. | If {condition}. | {press} {key} now. |
{please}enter {item}. | {please}enter {item}, followed by {hash}. | {please}enter {item}, then press {hash}. |
{please}enter {item} now. | {please}say {item} after {tone}. | {please}{do}. | {please}{do} {when}. |
{please}{do}, then {press_l} {hash}. | After {tone}, {do}. | When you are finished, {press_l} {hash}. |
When you have finished, {do}, or {press_l} {key} to {action}. | You have {count} {kind} {noun_pl}. |
You have {count} {kind} {noun_pl} and {count} {kind} {noun_pl}. | You have no {kind} {noun_pl}. |
There are {count} {noun_pl} {place}. | There is one {noun} {place}. | {count} {kind} {noun_pl} |
{count} {noun_pl} {place}. | {kind} {noun} | {kind} {noun_pl} | {noun} | {noun_pl} | {kind} {noun} from {from}. |
{kind} {noun} number {n}. | The {noun} was received {when2}. | Received {when2}. | {subject} {state}. |
{subject} {state}. | {subject} {state}. | {subject} {state} | {feature} {onoff}. | {feature} {onoff} |
Your {thing} {thingstate}. | Your {thing} {thingstate}. | That {thing} {thingstate}. | The {thing} {thingstate}. |
{sorry}{problem}. | {sorry}{problem}. | {sorry}{problem}. {retry}. | {retry}. | {problem}. | {problem}. {bye} | {bye} |
{thanks} | {thanks} {bye} | {thanks} {hold} | {hold} | {hold} | You are {party} number {n} in the {queue}. |
You are {nth} in the {queue}. | There are {n} {people} ahead of you. | The estimated {wait} is {n} minutes. |
Your estimated {wait} is between {n} and {n} minutes. | Extension {ext}. | Extension {ext} {state}. | Mailbox {ext}. |
Agent {ext} {agentstate}. | {agentstate}. | The agent at extension {ext} {state}. |
{sorry}the {person} at extension {ext} {state}. | Calling {ext}. | The time is {clock}. |
The current time is {clock}. | Today is {date}. | At the {tone1}, it will be {clock}. | {day} | {month} | {nth} |
{day}, {month} {nth}. | {yesno} | {yesno} | {yesno}, {yesno}. | {letters} | The number you have dialed is {phone}. |
The number is {phone}. | You entered {code}. | Dial {phone}. | {welcome} {org}. | {welcome} the {queue}. |
Thank you for calling {org}. | {welcome} {org}. {hold} | Recording {recstate}. | Message {n}. | Message {recstate}. |
Conference {recstate}. | File {recstate}. | {weather} {weather2}. | {weather} | {weather2} |
The {measure} is {deg} {unit}. | {deg} {unit} | Wind from the {compass}. | Tomorrow, {weather_l} {weather2}. |
{compass} winds at {n} {unit}. | High of {deg}, low of {deg}. | {measure} |
{press} {key} for {dept}, {key} for {dept}, or {key} to {action}. | {device} {onoff}. | {device} |
{device} {thingstate}. | {symbol} | {symbol} | {lang}, {press_l} {key}. | {from} | Call from {from}. | For {lang}. |
Transferring you to {dept}. | Connecting you to {from}. | {adverb} | {verb} | {verb} {noun} | {verb} {device}
""")


SLOTS: dict[str, list[str]] = {
    "press": _entries("Press | Press | Press | Dial | Please press | Now press"),
    "press_l": _entries("press | press | dial | push"),
    "please": ["Please ", "Please ", "Please ", "", "Now "],
    "hash": _entries("the pound key | pound | the hash key | star | the star key | hash"),
    "tone": _entries("the tone | the beep | the tone | the signal"),
    "tone1": _entries("tone | beep | signal"),
    "sorry": ["I'm sorry, ", "Sorry, ", "", "", "We are sorry, ", "I am sorry, but "],
    "retry": _entries("""
        Please try again | Try again | Please try again later | Please hang up and try again |
        Please call back during office hours | Please check and dial again | Please start over
    """),
    "bye": _entries("""
        Goodbye. | Goodbye! | Have a nice day. | Have a good evening. | See you soon. | Good night. | Bye.
    """),
    "thanks": _entries("""
        Thank you. | Thank you very much. | Thanks for calling. | Thanks. | Thank you for waiting. | Great!
    """),
    "hold": _entries("""
        Please hold. | One moment, please. | Please stay on the line. | Please wait. | Hold the line, please. |
        Please hold while I connect you. | Please wait while I try that extension. | Just a moment. |
        Your call is important to us. | All of our operators are busy. | Please remain on the line.
    """),
    "yesno": _entries("""
        yes | no | okay | cancel | maybe | correct | wrong | hello | stop | start | all right | sure | ready | done |
        help | please | sorry | error | warning | invalid | accepted | rejected
    """),
    "action": _entries("""
        hear {pos} {kind} {noun_pl} | listen to {pos} {noun_pl} | delete {this} {noun} | save {this} {noun} |
        repeat {this} {noun} | skip {this} {noun} | reply to {this} {noun} | forward {this} {noun} to {who} |
        record {pos} {thing} | change {pos} {thing} | erase {pos} {thing} | hear {pos} {thing} |
        go to the {next} {noun} | return to the {menu} | hear these options again | leave {who} a message |
        speak with {dept} | speak to {who} | call {who} | cancel | exit | continue | hang up | accept this call |
        reject the call | turn {feature_l} on | turn {feature_l} off | mute {who2} | join the {queue} |
        leave the {queue} | lock the {queue} | unlock the {queue} | invite another {person} | raise the {measure2} |
        lower the {measure2} | pause the {recording} | resume the {recording} | rewind the {recording} |
        rerecord {pos} {thing} | enter {item} | try again | start over | log in | log out | pay {pos} bill |
        check {pos} balance | hear the weather for {day} | mark {this} {noun} as urgent | send {this} {noun} now |
        be called back at {clock} | choose another language | continue in {lang2} | reach the operator | disconnect |
        dial by name | hear the date and time | save it to {folder} | open {folder} | switch to {folder} | confirm |
        listen to the first {noun} | play the last {noun}
    """),
    "pos": _entries("your | your | the | all"),
    "this": _entries("this | the | that | the last | the current"),
    "who": _entries("""
        an operator | the caller | the sender | {from} | another extension | a friend | the person at extension {ext}
    """),
    "who2": _entries("yourself | everyone | all participants | the caller | your microphone | the line"),
    "next": _entries("next | previous | first | last | following | main"),
    "menu": _entries("main menu | previous menu | voicemail menu | settings menu | start | options | directory"),
    "folder": _entries("""
        folder {n} | the inbox | the archive | the family folder | the work folder | the friends folder
    """),
    "recording": _entries("recording | message | playback | greeting | dictation | music"),
    "dept": _entries("""
        sales | billing | support | technical support | customer service | the front desk | the operator | accounting |
        human resources | shipping | the pharmacy | reservations | the office | new accounts | the service department |
        repairs | the manager | the directory | all other questions | more options | {from} | the ticket office |
        directions | opening hours | the warehouse | the school nurse
    """),
    "condition": _entries("""
        this is correct | this is wrong | you need more time | you know your party's extension | you agree |
        you are a new customer | you would like to leave a message | you want to hear this again |
        this is an emergency | you have a question about {item} | you do not have {item} | you wish to {action} |
        you would like to {action} | you are calling about {item} | the line is busy | there is no answer
    """),
    "item": _entries("""
        your password | your extension | your account number | your agent number | the access code | your zip code |
        your {n} digit code | the conference number | the extension of the person you wish to call | your name |
        your mailbox number | the area code | a telephone number | your date of birth | the last four digits |
        your order number | the first three letters of the last name | the number of guests | your PIN code |
        the new number | the amount | your new password | your passcode once more | a number from {digit} to {n} |
        your ticket number | the day and the month | your license plate | your street address | your age
    """),
    "do": _entries("""
        record your message | record your greeting | state your name | leave a message | hold the line |
        speak clearly | call back {when2} | check the number | wait for the beep | hang up | say yes or no |
        spell your last name | stay where you are | make a selection | select a language | repeat the number |
        ask for {dept} | listen carefully | choose one of the following options | have {item} ready | confirm {item} |
        turn down the volume
    """),
    "when": _entries("""
        now | later | at the tone | after the beep | again | one more time | before {clock} | on {day}
    """),
    "when2": _entries("""
        yesterday | today at {clock} | on {day} | at {clock} | on {date} | this morning | last night | tomorrow |
        {n} minutes ago | last {day} | in {month} | an hour ago
    """),
    "count": _entries("{n} | {n} | one | two | three | several | no | {n}"),
    "kind": _entries("""
        new | old | saved | urgent | unheard | unread | deleted | private | short | long | recent | missed | incoming |
        outgoing | international | local | wireless | second | temporary | default | empty | busy
    """),
    "noun": _entries("""
        message | call | voicemail | fax | greeting | recording | reminder | appointment | participant | letter |
        entry | order | extension | caller | number | account | password | channel | station | directory | name |
        office | minute | second | hour | folder | system | operator | server | network | signal | list | code
    """),
    "noun_pl": _entries("""
        messages | calls | voicemails | faxes | recordings | reminders | appointments | participants | letters |
        entries | orders | callers | numbers | accounts | guests | agents | users | minutes | seconds | hours | days |
        weeks | folders | lines | people | friends | greetings | attempts | channels | offices
    """),
    "place": _entries("""
        in your mailbox | in the queue | in this folder | on hold | in the conference | on the line | remaining |
        waiting | in the directory | left | on the server | on this channel
    """),
    "from": _entries("""
        {surname} | Mr. {surname} | Mrs. {surname} | Dr. {surname} | Miss {surname} | the {surname} family |
        an unknown number | {surname} and {surname} | the office | extension {ext} | Captain {surname} | the doctor |
        the {org2}
    """),
    "org": _entries("""
        {surname} and Sons | the {surname} Company | the city library | the {org2} | First National Bank |
        {surname} Hospital | the Hotel {surname} | {surname} Airlines | the telephone company | {surname} Plumbing |
        the {surname} residence
    """),
    "org2": _entries("""
        bank | school | hospital | museum | library | post office | train station | airport | hotel | theater |
        police department | fire department | city hall | power company | dentist | garage | pet clinic
    """),
    "subject": _entries("""
        The {person} you are calling | The {person} | Your {person} | The number you dialed | The line |
        That extension | Everyone | {from} | The {queue} | All of our agents | This mailbox | Nobody |
        The {person} you have reached
    """),
    "person": _entries("""
        party | person | caller | user | customer | subscriber | operator | agent | guest | leader | moderator
    """),
    "people": _entries("callers | people | customers | guests | patients"),
    "party": _entries("caller | guest | customer | visitor"),
    "state": _entries("""
        is not available | is busy | is on another call | is away from the desk | is on vacation |
        will be back {when2} | is no longer in service | did not answer | has joined | has left | has hung up |
        is now on the line | is unavailable | cannot be reached | is out to lunch | does not accept this call |
        is speaking | is muted | is full | is closed | has been disconnected | is in a meeting | will call you back |
        is not responding | will be with you shortly
    """),
    "agentstate": _entries("""
        logged in | logged off | is already logged in | is on a break | is not logged in | is ready | is wrapping up
    """),
    "feature": _entries("""
        Call forwarding | Call waiting | Do not disturb | Caller identification | Speed dialing | Auto answer |
        Hold music | Night mode | Call recording | The intercom | Voice control | The blacklist | Three way calling |
        Paging
    """),
    "feature_l": _entries("""
        call forwarding | call waiting | privacy mode | the music | the intercom | speakerphone | recording | dictation
    """),
    "onoff": _entries("""
        on | off | is on | is off | has been turned on | has been canceled | activated | deactivated | is now enabled |
        is now disabled | has been set to {ext} | is not allowed | is not available | unchanged | to extension {ext}
    """),
    "thing": _entries("""
        greeting | password | message | call | account | recorded name | busy greeting | number | order | request |
        reminder | wake up call | payment | balance | extension | reservation | appointment | selection | answer | menu
    """),
    "thingstate": _entries("""
        has been saved | has been deleted | has been changed | is not valid | is too short | is too long |
        was not found | has been sent | has been received | is empty | is correct | is wrong | has expired |
        has been canceled | is ready | could not be sent | will be delivered {when2} | has been set for {clock} |
        is {money} | is {code} | is full | is unknown | has been forwarded to {from} | was rejected |
        was confirmed on {date} | has been locked
    """),
    "problem": _entries("""
        that is not a valid {noun} | I did not understand | I didn't get that | there was an error |
        that {noun} does not exist | your call cannot be completed | all circuits are busy | no one is available |
        the mailbox is full | access denied | the passwords do not match | you have reached a wrong number |
        the system is down for maintenance | login failed | an error has occurred | there is no {noun} with that name |
        the {noun} could not be {verbed} | no more {noun_pl} | we are closed on {day} |
        nobody is here to take your call | you are not allowed to do that | time is up | the {queue} is locked |
        too many {noun_pl} | the {noun} is already in use | the connection was lost
    """),
    "verbed": _entries("found | saved | deleted | opened | sent | played | recorded | reached | added | removed"),
    "queue": _entries("conference | queue | line | meeting | call | waiting room | chat | party line | directory"),
    "wait": _entries("waiting time | hold time | wait | delay | call time"),
    "welcome": _entries("""
        Welcome to | You have reached | Good morning, this is | Good afternoon, you have reached | Hello from | This is
    """),
    "recstate": _entries("""
        started | stopped | paused | saved | deleted | canceled | sent | finished | marked urgent | restored
    """),
    "weather": _entries("""
        Sunny | Cloudy | Partly cloudy | Mostly clear | Light rain | Heavy snow | Scattered showers | Fog |
        Freezing drizzle | Thunderstorms | Windy | Hail | Clear skies | Haze | Blowing dust | Hot and humid | Cold |
        Sleet | Overcast
    """),
    "weather_l": _entries("""
        sunny | cloudy | light rain | heavy snow | showers | fog | thunderstorms | strong winds | clear skies | cooler
    """),
    "weather2": _entries("""
        in the morning | in the afternoon | by evening | overnight | on {day} | near the coast | in the mountains |
        later today | until {clock} | with a chance of rain | turning colder | and warmer |
        with gusts up to {n} {unit} | this weekend
    """),
    "measure": _entries("""
        temperature | humidity | pressure | wind chill | dew point | visibility | heat index | rainfall | wind speed
    """),
    "measure2": _entries("volume | speed | speaking volume | microphone level | pitch | listening volume"),
    "unit": _entries("""
        degrees | percent | miles per hour | inches | degrees Celsius | degrees Fahrenheit | miles | kilometers |
        meters | feet | minutes | pounds | gallons | watts | volts | tons | years | weeks | pages | people |
        kilograms | liters
    """),
    "unit1": _entries("""
        floor | street | row | door on the left | time | day | chapter | century | place | anniversary | gate | lane
    """),
    "compass": _entries("north | south | east | west | northeast | southwest | southeast | northwest"),
    "device": _entries("""
        the front door | the garage door | the kitchen light | the alarm | the heater | the thermostat |
        the water pump | engine {n} | the fan in room {ext} | the generator | the antenna | the battery | the radio |
        the transmitter | the fire alarm | the swimming pool | the lawn sprinkler | the elevator | the computer |
        the telephone | the main gate | window {n}
    """),
    "symbol": _entries("""
        dot | comma | question mark | exclamation point | slash | backslash | dash | underscore | plus | equals |
        percent sign | dollar sign | at sign | semicolon | colon | space | open parenthesis | left bracket |
        right bracket | quote | asterisk | ampersand | hash sign | capital {letters} | uppercase | lowercase | hyphen |
        period | apostrophe | tilde
    """),
    "lang": _entries("""
        For English | For Spanish | For French | For German | For Italian | For Russian | For Chinese | For Portuguese
    """),
    "lang2": _entries("English | Spanish | French | German | Italian | Russian | Japanese | Arabic"),
    "adverb": _entries("""
        again | later | now | before | after | since | until | tonight | today | always | never | once | twice |
        forward | backward | manually | automatically | successfully | temporarily | outside | inside | please |
        instead | shortly
    """),
    "verb": _entries("""
        call | open | close | start | stop | lock | unlock | enable | disable | play | record | repeat | cancel |
        delete | save | check | change | add | remove | answer | transfer | forward | search | activate | raise |
        lower | reset | test | park
    """),
}


NAMES = _entries("""
{first} {surname} | {first} {surname}. | {city} | {city}. | {country} | {city}, {country}. |
My name is {first} {surname}. | {first} | Mr. {surname} | Dr. {first} {surname}. | {first} and {first}. |
Good morning, {first}. | From {city} to {city}. | {first} lives in {city}. | Mrs. {surname} is from {country}. |
The train to {city}. | I have never been to {country}. | Is {first} at home? | Where is {city}? |
This is {first} {surname} calling from {city}. | Hello, {first}! | {first}, come here! | The mayor of {city}. |
Lake {surname} | {first} met {first} in {city}. | {surname} Street | {surname} and {surname} | The king of {country}. |
{first}'s brother
""")
