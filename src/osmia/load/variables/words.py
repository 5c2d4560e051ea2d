"""Tables of words for random values: a few dozen each, made up or common knowledge."""

from __future__ import annotations

from typing import Final

__all__ = ["TABLES", "WORDS"]

WORDS: Final = {
    "abbreviation": (
        "ADP AGP AI API ASCII CLI COM CPU CSS DNS DRAM EXE FTP GB HDD HEX HTTP IB IP JBOD JSON OCR PCI PNG RAM RSS "
        "SAS SCSI SDD SMS SMTP SQL SSD SSL TCP THX TLS UDP USB UTF8 VGA XML XSS"
    ),
    "adjective": (
        "able bold brief bright calm clean clear close cold cool deep dense dry early empty equal even exact fair "
        "fast firm flat free fresh full grand great happy hard high idle keen kind large late light long loud low "
        "mild narrow neat new old open plain proud quick quiet rapid rare raw ready rich ripe round safe sharp short "
        "slow small smooth soft solid steady still strong sweet swift tall thick thin tidy tiny true vast warm wide "
        "wild young"
    ),
    "color": (
        "azure beige black blue bronze brown coral crimson cyan fuchsia gold gray green indigo ivory khaki lavender "
        "lime magenta maroon mint navy ochre olive orange orchid pink plum purple red salmon silver teal turquoise "
        "violet white yellow"
    ),
    "column": (
        "id title name email phone token group category password comment avatar status createdAt updatedAt price "
        "amount version owner country locale"
    ),
    "country_code": (
        "AD AE AR AT AU BE BG BR CA CH CL CN CO CR CY CZ DE DK EE EG ES FI FR GB GE GR HR HU ID IE IL IN IS IT JM JP "
        "KE KR LT LU LV MA MT MX MY NG NL NO NP NZ PE PH PK PL PT RO RS SE SG SI SK TH TN TR TW UA US UY VN ZA"
    ),
    "currency_code": (
        "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW MAD MXN MYR "
        "NGN NOK NZD PEN PHP PKR PLN RON RSD SEK SGD THB TRY TWD UAH USD UYU VND ZAR"
    ),
    "currency_symbol": "$ € £ ¥ ₹ ₩ ₺ ₽ ₴ ₫ ₪ ₦ ฿ kr zł Kč Ft lei R$ CHF",
    "department": (
        "Automotive Baby Beauty Books Clothing Computers Electronics Games Garden Grocery Health Home Industrial "
        "Jewelry Kids Movies Music Outdoors Shoes Sports Tools Toys"
    ),
    "directory": (
        "/bin /boot /dev /etc /etc/default /home /home/user /lib /media /mnt /opt /opt/bin /opt/share /proc /root "
        "/run /sbin /srv /sys /tmp /usr /usr/bin /usr/include /usr/lib /usr/local/bin /usr/local/src /usr/sbin "
        "/usr/share /usr/src /var /var/log /var/mail /var/spool /var/tmp"
    ),
    "domain_suffix": "com net org info biz name io dev app",
    "engine": "InnoDB MyISAM MEMORY CSV BLACKHOLE ARCHIVE",
    "collation": (
        "utf8_unicode_ci utf8_general_ci utf8_bin ascii_bin ascii_general_ci cp1250_bin cp1250_general_ci "
        "utf8mb4_unicode_ci utf8mb4_bin"
    ),
    "column_type": (
        "int varchar text date datetime tinyint time timestamp smallint serial decimal float boolean bigint double "
        "enum blob point binary"
    ),
    "extension": (
        "aac avi bin bmp csv doc docx epub flac gif gz htm html ico jpeg jpg js json m4a md mkv mov mp3 mp4 odp ods "
        "odt ogg pdf png ppt pptx rar rtf svg tar tif txt wav webm webp xls xlsx xml yaml zip"
    ),
    "common_extension": "gif htm html jpeg jpg m1v m2a m3a mp2 mp3 mp4 mpeg mpg pdf png wav",
    "file_type": "application audio font image message model text video",
    "common_file_type": "application audio image text video",
    "first_name": (
        "Ada Adam Agnes Alan Alice Amir Anna Anton Aria Arthur Aya Bela Ben Bianca Boris Carla Carlos Chen Clara "
        "Daniel Daria David Dora Elena Elias Emil Emma Erik Eva Farid Felix Fiona Frank Gina Greta Hana Hassan Heidi "
        "Hugo Ian Ida Igor Ines Irene Ivan Jack Jana Jonas Julia Karin Kenji Laila Lars Laura Leo Lena Lin Louis "
        "Lucia Marc Maria Marta Max Maya Mei Milan Mina Nadia Nils Nina Noah Nora Olga Omar Oscar Paul Petra Ravi "
        "Rita Robin Rosa Ruth Sami Sara Simon Sofia Sven Tara Tim Tom Uma Vera Victor Yara Yuki Zoe"
    ),
    "last_name": (
        "Abbott Adler Ahmed Alvarez Baker Barnes Becker Berg Bishop Blake Bond Brandt Brown Carter Chen Clark Cole "
        "Cooper Costa Cruz Dahl Davis Dubois Duran Evans Fischer Ford Foster Franco Garcia Grant Green Haas Hall "
        "Hansen Hayes Hill Horn Hughes Ito Jansen Jensen Jones Kaya Keller Khan Kim King Klein Koch Kovac Kumar Lane "
        "Lang Larsen Lee Lewis Lindt Lopez Maier Marin Marsh Martin Mason Meyer Mills Moore Morel Nagy Novak Olsen "
        "Ortiz Park Patel Perez Petit Popov Reed Reyes Rossi Roth Sato Schmidt Silva Singh Stone Suzuki Tanaka Taylor "
        "Vogel Wagner Walker Wang Weber White Wolf Wood Yilmaz Young Zhang"
    ),
    "ingverb": (
        "backing bridging bypassing calculating compressing connecting copying filtering generating hacking indexing "
        "inputting loading mapping merging navigating overriding parsing programming quantifying rendering routing "
        "scaling sending storing syncing synthesizing tracing transmitting"
    ),
    "job_area": (
        "Accounts Brand Communications Creative Data Factors Functionality Group Identity Implementation "
        "Infrastructure Integration Interactions Intranet Marketing Markets Mobility Operations Optimization Paradigm "
        "Program Quality Research Response Security Solutions Tactics Usability Web"
    ),
    "job_descriptor": (
        "Central Chief Corporate Customer District Dynamic Forward Future Global Human Internal International "
        "Investor Lead Legacy National Principal Product Regional Senior"
    ),
    "job_type": (
        "Administrator Agent Analyst Architect Assistant Associate Consultant Coordinator Designer Developer Director "
        "Engineer Executive Facilitator Manager Officer Planner Producer Representative Specialist Strategist "
        "Supervisor Technician"
    ),
    "locale": (
        "af ar az bg bn ca cs da de el en es et fa fi fr ga he hi hr hu hy id is it ja ka ko lt lv mk ms nb nl nn pl "
        "pt ro ru sk sl sq sr sv sw ta th tr uk ur vi zh"
    ),
    "lorem": (
        "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore "
        "magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo "
        "consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat nulla pariatur excepteur "
        "sint occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum"
    ),
    "month": "January February March April May June July August September October November December",
    "name_prefix": "Mr. Mrs. Ms. Miss Dr. Prof.",
    "name_suffix": "Jr. Sr. I II III IV V MD DDS PhD DVM",
    "noun": (
        "alarm application array bandwidth bus capacitor card circuit cloud cluster driver feed field firewall "
        "hard-drive interface kernel ledger matrix microchip monitor network node packet panel pixel port program "
        "protocol queue router sensor server signal socket system thread transmitter window"
    ),
    "product": (
        "Bag Ball Bike Bowl Camera Car Chair Clock Coat Computer Cup Desk Gloves Hat Helmet Jar Keyboard Kettle Knife "
        "Lamp Mouse Mug Notebook Pants Pen Pillow Plate Radio Salad Scarf Shirt Shoes Soap Sofa Spoon Table Tent "
        "Towel Tuna Umbrella Wallet Watch"
    ),
    "product_adjective": (
        "Awesome Elegant Ergonomic Fantastic Generic Gorgeous Handcrafted Handmade Incredible Intelligent Licensed "
        "Modern Practical Recycled Refined Rustic Sleek Small Tasty Unbranded"
    ),
    "product_material": (
        "Bamboo Ceramic Concrete Cork Cotton Fresh Frozen Glass Granite Leather Linen Metal Paper Plastic Rubber Soft "
        "Steel Wooden"
    ),
    "street_suffix": (
        "Alley Avenue Boulevard Bridge Circle Court Drive Gate Grove Hill Lane Park Passage Place Plaza Ridge Road "
        "Row Square Street Terrace Trail View Way"
    ),
    "transaction": "deposit invoice payment withdrawal refund transfer",
    "verb": (
        "back bridge build bypass calculate compress connect copy filter generate hack index input load map merge "
        "navigate override parse program quantify reboot render route send store sync synthesize trace transmit"
    ),
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "company_suffix": "Inc LLC Ltd Group GmbH SA AB",
    "bs_adjective": (
        "agile clicks-and-mortar collaborative compelling cross-media customized distributed dynamic efficient "
        "end-to-end enterprise extensible frictionless global granular holistic impactful innovative interactive "
        "leading-edge magnetic mission-critical open-source plug-and-play proactive real-time robust scalable "
        "seamless sticky strategic transparent turn-key user-centric vertical viral virtual visionary wireless"
    ),
    "bs_buzz": (
        "aggregate architect benchmark brand cultivate deliver deploy disintermediate drive embrace empower enable "
        "engage engineer enhance envision evolve expedite exploit extend facilitate generate grow harness implement "
        "incubate innovate integrate iterate leverage maximize mesh monetize optimize orchestrate reinvent scale "
        "seize streamline synergize syndicate target transform transition unleash utilize visualize"
    ),
    "bs_noun": (
        "action-items applications architectures bandwidth channels communities content convergence deliverables "
        "e-business e-commerce e-markets e-services experiences functionalities infrastructures initiatives "
        "interfaces markets methodologies metrics models networks niches paradigms partnerships platforms portals "
        "relationships schemas solutions supply-chains synergies systems technologies users vortals"
    ),
    "catch_adjective": (
        "Adaptive Advanced Assimilated Automated Balanced Centralized Compatible Configurable Cross-group "
        "Customizable Decentralized Devolved Digitized Diverse Enhanced Expanded Extended Focused Fundamental "
        "Horizontal Implemented Innovative Integrated Intuitive Managed Monitored Multi-tiered Networked Open-source "
        "Optimized Organic Persistent Polarised Proactive Profound Programmable Progressive Reactive Robust Secured "
        "Seamless Sharable Streamlined Switchable Synchronised Total Universal Upgradable Versatile Virtual Visionary"
    ),
    "catch_descriptor": (
        "24-hour actuating analyzing asymmetric background bandwidth-monitored bi-directional client-driven "
        "client-server coherent composite context-sensitive contextually-based dedicated didactic directional "
        "discrete dynamic eco-centric encompassing even-keeled executive explicit fault-tolerant foreground "
        "full-range global heuristic high-level holistic homogeneous hybrid impactful incremental intangible "
        "interactive intermediate leading-edge local logistical mission-critical mobile modular motivating multimedia "
        "multi-tasking national needs-based neutral next-generation object-oriented optimal optimizing radical "
        "real-time reciprocal regional responsive scalable secondary static systematic systemic tangible tertiary "
        "transitional uniform upward-trending value-added web-enabled zero-tolerance"
    ),
    "catch_noun": (
        "ability access adapter algorithm alliance analyzer application approach architecture archive array attitude "
        "benchmark budget capability capacity challenge circuit collaboration complexity concept conglomeration "
        "contingency core database definition emulation encoding encryption extranet firmware flexibility forecast "
        "framework frame function groupware hardware help-desk hierarchy hub implementation infrastructure initiative "
        "installation instruction interface intranet knowledge-base leverage local-area-network matrix methodology "
        "middleware migration model moderator monitoring moratorium neural-net open-system orchestration paradigm "
        "parallelism policy portal pricing-structure process-improvement product productivity project protocol "
        "service-desk software solution standardization strategy structure success superstructure support synergy "
        "system-engine task-force throughput time-frame toolset utilisation website workforce"
    ),
}
"""Tables whose entries have no blanks."""

TABLES: Final = {
    "account_name": (
        "Auto Loan Account|Checking Account|Credit Card Account|Home Loan Account|Investment Account|"
        "Money Market Account|Personal Loan Account|Savings Account"
    ),
    "city": (
        "Amsterdam|Ankara|Athens|Austin|Barcelona|Berlin|Bern|Bogota|Boston|Brussels|Budapest|Buenos Aires|Cairo|"
        "Cape Town|Chicago|Copenhagen|Dakar|Delhi|Dublin|Geneva|Hamburg|Hanoi|Havana|Helsinki|Istanbul|Jakarta|Kyoto|"
        "Lagos|Lima|Lisbon|London|Lyon|Madrid|Manila|Melbourne|Mexico City|Milan|Montreal|Mumbai|Munich|Nairobi|"
        "New York|Osaka|Oslo|Ottawa|Paris|Porto|Prague|Quito|Reykjavik|Riga|Rome|San Francisco|Santiago|Seattle|"
        "Seoul|Singapore|Sofia|Stockholm|Sydney|Taipei|Tallinn|Tokyo|Toronto|Tunis|Turin|Utrecht|Vancouver|Vienna|"
        "Vilnius|Warsaw|Zagreb|Zurich"
    ),
    "country": (
        "Andorra|Argentina|Australia|Austria|Belgium|Brazil|Bulgaria|Canada|Chile|China|Colombia|Costa Rica|Croatia|"
        "Cyprus|Czechia|Denmark|Egypt|Estonia|Finland|France|Georgia|Germany|Ghana|Greece|Hungary|Iceland|India|"
        "Indonesia|Ireland|Israel|Italy|Jamaica|Japan|Kenya|Latvia|Lithuania|Luxembourg|Malaysia|Malta|Mexico|"
        "Morocco|Nepal|Netherlands|New Zealand|Nigeria|Norway|Pakistan|Peru|Philippines|Poland|Portugal|Romania|"
        "Senegal|Serbia|Singapore|Slovakia|Slovenia|South Africa|South Korea|Spain|Sweden|Switzerland|Thailand|"
        "Tunisia|Turkey|Ukraine|United Kingdom|United States|Uruguay|Vietnam"
    ),
    "currency_name": (
        "Argentine Peso|Australian Dollar|Brazilian Real|Canadian Dollar|Chilean Peso|Czech Koruna|Danish Krone|"
        "Egyptian Pound|Euro|Forint|Hong Kong Dollar|Iceland Krona|Indian Rupee|Kenyan Shilling|Mexican Peso|Naira|"
        "New Zealand Dollar|Norwegian Krone|Pound Sterling|Rand|Rupiah|Singapore Dollar|Swedish Krona|Swiss Franc|"
        "Turkish Lira|US Dollar|Won|Yen|Yuan Renminbi|Zloty"
    ),
    "mime": (
        "application/gzip|application/javascript|application/json|application/msword|application/octet-stream|"
        "application/pdf|application/rtf|application/xml|application/zip|audio/aac|audio/flac|audio/mpeg|audio/ogg|"
        "audio/wav|font/otf|font/woff2|image/avif|image/bmp|image/gif|image/jpeg|image/png|image/svg+xml|image/tiff|"
        "image/webp|text/calendar|text/css|text/csv|text/html|text/markdown|text/plain|video/mp4|video/mpeg|"
        "video/ogg|video/webm"
    ),
    "system": (
        "Windows NT 10.0; Win64; x64|Macintosh; Intel Mac OS X 14_5|X11; Linux x86_64|X11; Ubuntu; Linux x86_64|"
        "X11; CrOS x86_64 14541.0.0"
    ),
}
"""Tables whose entries may have blanks, separated by |."""
