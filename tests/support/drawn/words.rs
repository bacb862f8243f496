//! Texts for drawn documents, written for this project, put together by a seed.

/// A generator of pseudo-random numbers: xorshift64 (Marsaglia 2003).
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0 to `end - 1`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.number() >> 11) % end
    }

    /// 0.0 to 1.0.
    pub fn fraction(&mut self) -> f32 {
        (self.number() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// One of the entries of a list with commas.
    pub fn one<'a>(&mut self, of: &'a str) -> &'a str {
        let entries: Vec<&str> = of.split(", ").collect();
        self.pick(&entries)
    }

    pub fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A source of sentences in one language.
#[derive(Clone, Debug)]
pub struct Words {
    language: &'static str,
    pub seeded: Seeded,
    next: usize,
}

impl Words {
    pub fn new(language: &'static str, seed: u64) -> Self {
        let mut words = Self {
            language,
            seeded: Seeded::new(seed),
            next: 0,
        };
        for _ in 0..8 {
            words.seeded.number();
        }
        words.next = words.seeded.below(64) as usize;
        words
    }

    /// English sentences differ without end; those of other languages come round.
    pub fn sentence(&mut self) -> String {
        let texts = match self.language {
            "en" => &ENGLISH[..],
            "de" => &GERMAN[..],
            "fr" => &FRENCH[..],
            "el" => &GREEK[..],
            "zh" => &CHINESE[..],
            "ja" => &JAPANESE[..],
            other => panic!("no words in {other:?}"),
        };
        // Forms that are filled may come in any order; whole sentences come round.
        let step = match self.language {
            "en" => 1 + self.seeded.below(texts.len() as u64 - 1) as usize,
            _ => 1,
        };
        self.next = (self.next + step) % texts.len();
        self.filled(texts[self.next])
    }

    pub fn paragraph(&mut self, sentences: usize) -> String {
        let between = if matches!(self.language, "zh" | "ja") {
            ""
        } else {
            " "
        };
        let texts: Vec<String> = (0..sentences).map(|_| self.sentence()).collect();
        texts.join(between)
    }

    /// A few English words with a capital.
    pub fn heading(&mut self) -> String {
        let forms = [
            "{A} {m} of the {p}",
            "The {n} and its {m}",
            "{A} {m} in winter",
            "Notes on the {a} {n}",
            "How the {n} was {v}",
            "{A} and {a} {m}",
        ];
        let form = self.seeded.pick(&forms);
        self.filled(form)
    }

    /// A name for a row of a table.
    pub fn entry(&mut self) -> String {
        let form = self.seeded.pick(&["{A} {m}", "{A} {n}"]);
        self.filled(form)
    }

    fn filled(&mut self, form: &str) -> String {
        let mut text = String::new();
        let mut rest = form;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            let slot = &rest[at + 1..at + 2];
            let word = match slot {
                "a" | "A" => self.seeded.one(ADJECTIVES),
                "n" => self.seeded.one(NOUNS),
                "m" => self.seeded.one(MANY),
                "p" => self.seeded.one(PLACES),
                "v" => self.seeded.one(DONE),
                "x" => self.seeded.one(NAMES),
                "t" => self.seeded.one(TIMES),
                _ => "",
            };
            if slot == "d" {
                text.push_str(&(2 + self.seeded.below(96)).to_string());
            } else if slot == "A" {
                text.push_str(&word[..1].to_uppercase());
                text.push_str(&word[1..]);
            } else {
                text.push_str(word);
            }
            rest = &rest[at + 3..];
        }
        text.push_str(rest);
        text
    }
}

const ADJECTIVES: &str = "quiet, narrow, northern, unfinished, wooden, careful, distant, remarkable, brittle, \
    seasonal, temporary, abandoned, municipal, coastal, yellow, ordinary, considerable, \
    forgotten, mechanical, shallow, provincial, independent, late, copper";
const NOUNS: &str = "lighthouse, ferry, archive, orchard, committee, workshop, railway, chimney, reservoir, \
    laboratory, catalogue, bridge, harbour, calendar, instrument, greenhouse, library, \
    telegraph, windmill, quarry, manuscript, balcony, observatory, barometer, storehouse, \
    letter, machine, garden";
const MANY: &str = "measurements, lanterns, bricks, passengers, seedlings, drawings, engineers, fishermen, \
    ledgers, winters, questions, windows, samples, journeys, pamphlets, conversations, \
    visitors, experiments, wheels, foundations, signals, observations, neighbours, boats";
const PLACES: &str = "river mouth, old market, upper valley, island, station, eastern shore, mill, \
    customs house, school, northern district, bay, village hall, canal, hill, \
    botanical garden, town hall, shipyard, border";
const DONE: &str = "repaired, described, counted, painted, measured, forgotten, rebuilt, sold, delivered, \
    translated, inspected, recorded, postponed, discovered, divided, carried away, \
    compared, printed";
const NAMES: &str = "Marta Lindqvist, Owen Thackeray, Ilse Bornmann, Tomas Reyes, Hester Quill, \
    Anton Weaver, Leonie Marsh, Piet Vandaele, Ruth Okafor, Edvin Strand, Clara Benning, \
    Josef Halloran, Nadia Petrie, Simon Ashgrove";
const TIMES: &str = "first snow, spring tide, harvest, second summer, last evening, long winter, \
    following year, morning bell, autumn fair, third attempt, great storm, census";

const ENGLISH: [&str; 28] = [
    "The {a} {n} near the {p} was {v} before the {t}, and nobody asked who had paid for it.",
    "{x} kept {d} {m} in a drawer and wrote the date of each on its back.",
    "Most of the {m} came from the {p}, where the {n} stands between two {a} walls.",
    "It is not known whether the {m} were {v} by hand or with the help of the {n}.",
    "After the {t} the {m} were {v} again, this time under the eyes of {d} witnesses.",
    "A report by {x} says that the {n} had {d} rooms, of which only the {a} ones were heated.",
    "Every {n} needs somebody who listens to it, as {x} used to say to the {a} {m}.",
    "From the {p} to the {n} it is a walk of {d} minutes, less when the path is dry.",
    "The {m} that remain are {a} and show little of what was {v} there.",
    "In this way the {n} became more {a} than the plans had promised.",
    "Where the road divides, the {a} {m} wait for the ferry that comes after the {t}.",
    "Two of the {m} were {v} at the {p}; the others have never been found.",
    "{x} compared the {a} {n} with its neighbour and found a difference of {d} parts.",
    "Since then the {p} has been quiet, apart from the {m} that arrive with the {t}.",
    "What the {n} does with the {m} is explained in a letter, which {x} never sent.",
    "There were {d} of them at first, and after the {t} there were more.",
    "No drawing of the {a} {n} exists, but the {m} can be {v} from memory.",
    "People at the {p} remember the {n} for its {a} door and its many {m}.",
    "A second {n}, smaller and more {a}, was {v} behind the first.",
    "The work was {v} in {d} days, although {x} had asked for twice as many.",
    "Whoever crosses the {p} after the {t} can hear the {m} long before the {n} comes into view.",
    "All {m} are listed by weight, and those without a number were {v} later.",
    "With some patience the {a} parts of the {n} can be told apart from the {m}.",
    "At the end of the {t} {x} gave the {n} away and moved to the {p}.",
    "The price of {d} {m} had risen so far that the {p} bought its own {n}.",
    "Only one question was left open: why the {m} had been {v} at all.",
    "Such {m} are rarely {v} twice, because the {n} keeps a copy of everything.",
    "Even so, the {a} {n} was opened to the public and {d} visitors came on the first day.",
];

const GERMAN: [&str; 18] = [
    "Der Müller am oberen Bach zählte jeden Abend die Säcke und schrieb die Summe mit Kreide an die Tür.",
    "Im Frühjahr überschwemmte der Fluss die Wiesen, sodass die Brücke für mehrere Wochen gesperrt blieb.",
    "Niemand wusste genau, wer die Straßenlaternen angezündet hatte, bevor die Wächter kamen.",
    "Die Größe der Fenster richtete sich nach dem Preis des Glases und nicht nach dem Licht.",
    "Für das Gemeindearchiv wurden zwölf Schränke bestellt, geliefert wurden jedoch nur neun.",
    "Am Ende des Jahres öffnete man die Bücher und verglich die Beträge mit denen der Nachbargemeinde.",
    "Die Kinder übten das Rechnen an Äpfeln, Nüssen und gelegentlich an den Hühnern des Lehrers.",
    "Ein Reisender aus dem Süden beschrieb die Gasthäuser als laut, aber außerordentlich gastfreundlich.",
    "Unter dem Dach hingen Kräuter, deren Namen selbst die Großmutter nicht mehr kannte.",
    "Wer den Schlüssel verlor, musste eine Runde Bier bezahlen und zusätzlich das Schloss ersetzen.",
    "Das Wetterhäuschen auf dem Marktplatz zeigte seit Jahrzehnten unverändert Sonnenschein.",
    "Später stellte sich heraus, dass die Messgeräte falsch eingestellt gewesen waren.",
    "Zwischen den Häusern verlief ein schmaler Weg, den nur die Briefträgerin regelmäßig benutzte.",
    "Die Glocke schlug fünfmal, obwohl es nach allen übrigen Uhren erst vier war.",
    "Mit großer Sorgfalt wurden die Zeichnungen gefaltet, nummeriert und in Kästen gelegt.",
    "Der Bürgermeister versprach eine Veröffentlichung der Ergebnisse, sobald die Prüfung abgeschlossen sei.",
    "Auf der Rückseite des Bildes fand man eine Widmung in verblasster blauer Tinte.",
    "So blieb die Werkstatt geöffnet, und die Lehrlinge lernten, wie man ein Ruder ausbessert.",
];

const FRENCH: [&str; 18] = [
    "Le gardien du phare notait chaque matin la hauteur des vagues dans un cahier à couverture verte.",
    "À la fin de l’été, les marchands repartaient vers la côte avec des caisses presque vides.",
    "On ignorait d’où venait la lumière qui éclairait la façade pendant les nuits d’hiver.",
    "La bibliothèque possédait déjà trois exemplaires, mais aucun n’était complet.",
    "Plusieurs élèves avaient dessiné le même arbre, chacun d’une couleur différente.",
    "Le conseil décida de réparer le pont, puis de repousser les travaux à l’année suivante.",
    "Entre la gare et l’école, le chemin longe une rivière où pêchent les retraités.",
    "Sa réponse fut brève : il préférait garder la clé plutôt que d’expliquer la serrure.",
    "Les mesures furent répétées à midi, à l’aube et même après la fête du village.",
    "Personne ne s’étonna que l’horloge eût pris du retard, car elle avait toujours été prudente.",
    "Derrière la forêt s’étend une plaine où l’on cultive du lin et de l’avoine.",
    "Une lettre retrouvée au grenier décrit la maison telle qu’elle était avant l’incendie.",
    "Le médecin venait à bicyclette, quel que fût le temps, et repartait avec des œufs.",
    "Il fallut attendre le dégel pour que les bateaux puissent enfin quitter le port.",
    "Les comptes étaient exacts, à ceci près que la dernière page avait été arrachée.",
    "Dans la cour, deux façons de ranger le bois s’opposaient depuis des générations.",
    "La voyageuse remercia ses hôtes, laissa un foulard et promit d’écrire bientôt.",
    "C’est ainsi que le musée reçut sa première vitrine, garnie de boutons et de coquillages.",
];

const GREEK: [&str; 16] = [
    "Ο ψαράς γύρισε στο λιμάνι πριν από το ξημέρωμα και άπλωσε τα δίχτυα του στον ήλιο.",
    "Η βιβλιοθήκη του χωριού είχε λίγα βιβλία, αλλά όλα ήταν διαβασμένα πολλές φορές.",
    "Κανείς δεν θυμόταν ποιος φύτεψε την παλιά ελιά μπροστά στο σχολείο.",
    "Το καλοκαίρι οι δρόμοι άδειαζαν το μεσημέρι και γέμιζαν πάλι με φωνές το βράδυ.",
    "Οι μετρήσεις έγιναν τρεις φορές και κάθε φορά έδωσαν διαφορετικό αποτέλεσμα.",
    "Στην άκρη της πλατείας υπήρχε ένα μικρό εργαστήριο όπου επισκεύαζαν ρολόγια.",
    "Ο δάσκαλος έγραφε με μεγάλα γράμματα στον πίνακα και περίμενε υπομονετικά.",
    "Μετά τη βροχή το ποτάμι φούσκωσε και πήρε μαζί του την ξύλινη γέφυρα.",
    "Τα παιδιά μάζευαν κοχύλια και τα αντάλλασσαν με καραμέλες και μολύβια.",
    "Η επιστολή βρέθηκε μέσα σε ένα κουτί, κάτω από παλιές εφημερίδες.",
    "Όταν έφτασε το τρένο, ο σταθμός ήταν ήδη γεμάτος επιβάτες από την πρωτεύουσα.",
    "Ο χειμώνας εκείνος ήταν βαρύς και οι αποθήκες άνοιξαν πολύ νωρίτερα.",
    "Δύο γείτονες μάλωναν για έναν τοίχο που κανένας τους δεν ήθελε να χτίσει.",
    "Το μουσείο απέκτησε έναν χάρτη με όλα τα νησιά και τις αποστάσεις τους.",
    "Στο τέλος της χρονιάς μετρούσαν τα κέρδη και χώριζαν το λάδι σε ίσα μέρη.",
    "Έτσι η παλιά μηχανή έμεινε στη θέση της, καθαρή και έτοιμη για δουλειά.",
];

const CHINESE: [&str; 14] = [
    "每天清晨，守桥的老人都会把水位记在一本蓝色的本子里。",
    "春天的雨下了整整三个星期，山路因此变得又湿又滑。",
    "村里的图书馆虽然不大，却保存着许多手写的地图。",
    "没有人知道那盏灯是谁点亮的，也没有人去问。",
    "孩子们在河边捡石头，按照颜色把它们分成五堆。",
    "秋天收获以后，仓库里堆满了玉米、花生和新编的竹篮。",
    "老师让学生先观察天空，然后再写下自己的想法。",
    "火车站旁边有一家小店，专门修理钟表和收音机。",
    "第一次测量的结果并不准确，所以大家决定重新开始。",
    "桥的另一边是一片茶园，那里的工人很早就起床。",
    "他把信折好放进口袋，打算等到天气转晴再寄出去。",
    "冬天来得比往年更早，湖面上很快结了一层薄冰。",
    "旧机器虽然声音很大，但是仍然可以正常工作。",
    "到了晚上，广场上的人们一边喝茶一边谈论明天的市场。",
];

const JAPANESE: [&str; 14] = [
    "港の近くにある小さな時計屋は、毎朝七時に店を開ける。",
    "春になると、川沿いの道には多くの人が散歩にやって来る。",
    "図書館の古い地図には、今はもうない橋が描かれている。",
    "だれが最初にその木を植えたのか、村の人は覚えていない。",
    "子どもたちは海岸で貝を集め、色ごとに箱に分けた。",
    "先生は黒板に大きな文字を書き、静かに生徒を待っていた。",
    "雨が三日も続いたので、山へ行く計画は延期された。",
    "新しい機械は音が小さく、夜でも使うことができる。",
    "駅前の広場では、週末になると野菜の市場が開かれる。",
    "手紙は引き出しの奥から見つかり、丁寧に保存された。",
    "測定の結果は毎回少しずつ違っていたが、平均は同じだった。",
    "冬の朝、湖の上には白い霧がゆっくりと流れていた。",
    "祖母の家の庭には、柿の木と古い井戸が残っている。",
    "こうして工場は静かになり、窓には秋の光が差し込んだ。",
];
