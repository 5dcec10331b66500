"""Small tables in the languages of strangers, encoded as their machines write them.

`python -m streamlib.tests.languages` measures which way of guessing decodes the most of them.
"""

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

WEST = "cp1252 mac_roman cp850"
MIDDLE = "cp1250 iso8859-2"
# language: its encodings, then towns, people and remarks as its speakers write them
LANGUAGES = {
    "Polish": (
        MIDDLE,
        "Wrocław Łódź Kraków Poznań Gdańsk Białystok Częstochowa Zielona_Góra Rzeszów Toruń",
        "Łukasz_Wójcik Małgorzata_Kamińska Stanisław_Dąbrowski Agnieszka_Zielińska Paweł_Żak",
        "Proszę dzwonić po południu|dostarczono z opóźnieniem|mała paczka, duży rachunek|zwrot",
    ),
    "Czech": (
        MIDDLE,
        "Plzeň Brno Olomouc České_Budějovice Hradec_Králové Ústí_nad_Labem Zlín Třebíč Děčín",
        "Jiří_Dvořák Tomáš_Novák Kateřina_Svobodová Zdeněk_Říha Lukáš_Kučera Eliška_Králová",
        "Zboží dorazilo včas|žádost zamítnuta|příliš drahé, ale pěkné|volat večer|hotovo",
    ),
    "Slovak": (
        MIDDLE,
        "Košice Žilina Banská_Bystrica Prešov Nitra Trenčín Poprad Piešťany Levoča Martin",
        "Ján_Kováč Ľubomír_Hudák Mária_Vargová Štefan_Tóth Zuzana_Krajčíová Peter_Ďurica",
        "Tovar prišiel neskoro|ďakujeme za objednávku|veľký balík|môže počkať|vrátené",
    ),
    "Hungarian": (
        MIDDLE,
        "Győr Pécs Székesfehérvár Nyíregyháza Kecskemét Debrecen Szeged Hódmezővásárhely Tatabánya",
        "Kovács_Gábor Szőke_Erzsébet Tóth_László Fűzesi_Ágnes Nagy_Zoltán Hegedűs_Ödön",
        "A csomag megérkezett|később hívjuk vissza|jó minőségű, gyors szállítás|üzenet nélkül",
    ),
    "Romanian": (
        MIDDLE,
        "Iaşi Timişoara Bucureşti Constanţa Braşov Cluj-Napoca Ploieşti Bacău Piteşti Târgu_Mureş",
        "Ştefan_Ionescu Mihăiţă_Popa Ana_Bălan Ionuţ_Câmpeanu Mădălina_Rusu Vlad_Ţiriac",
        "coletul a ajuns târziu|vă rugăm să sunaţi|bună calitate|fără răspuns|plătit",
    ),
    "Croatian": (
        MIDDLE,
        "Šibenik Čakovec Požega Karlovac Varaždin Đakovo Zadar Osijek Sisak Županja",
        "Željko_Horvat Ivana_Šarić Marko_Perković Đurđica_Babić Nikša_Jurić Luka_Čop",
        "narudžba kasni|već plaćeno|može se preuzeti u poslovnici|šalje se sutra|povrat",
    ),
    "Slovenian": (
        MIDDLE,
        "Škofja_Loka Črnomelj Brežice Ljubljana Maribor Žalec Koper Šentjur Kočevje",
        "Janez_Žnidaršič Maja_Kovačič Matjaž_Hočevar Špela_Kranjc Andrej_Černe",
        "naročilo je prispelo|stranka želi račun|več kot običajno|še ni plačano|vračilo",
    ),
    "Turkish": (
        "cp1254 iso8859-9",
        "İstanbul İzmir Eskişehir Diyarbakır Şanlıurfa Muğla Çanakkale Kütahya Ağrı Balıkesir",
        "Ayşe_Yılmaz Oğuzhan_Şahin Gökhan_Çelik Işıl_Kılıç Büşra_Öztürk Uğur_Aydın",
        "sipariş gecikti|müşteri aradı, iade istiyor|ödeme yapıldı|güzel, hızlı kargo|boş",
    ),
    "Greek": (
        "cp1253 iso8859-7",
        "Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο Λάρισα Βόλος Ιωάννινα Χανιά Καβάλα",
        "Γιώργος_Παπαδόπουλος Μαρία_Νικολάου Κώστας_Ιωάννου Ελένη_Δημητρίου",
        "η παραγγελία έφτασε|δεν απάντησε|καλή ποιότητα, γρήγορα|πληρωμένο|επιστροφή",
    ),
    "Russian": (
        "cp1251 koi8-r cp866",
        "Москва Санкт-Петербург Казань Екатеринбург Нижний_Новгород Омск Пермь Уфа Самара",
        "Иванов_Пётр Смирнова_Ольга Кузнецов_Алексей Попова_Юлия Щербаков_Илья",
        "заказ доставлен|клиент не ответил|хорошее качество, быстро|оплачено|возврат",
    ),
    "Ukrainian": (
        "cp1251 koi8-u",
        "Київ Львів Харків Одеса Дніпро Запоріжжя Чернівці Тернопіль Івано-Франківськ",
        "Олексій_Шевченко Наталія_Бойко Юрій_Ткаченко Їжакевич_Іван Ганна_Кравчук",
        "замовлення прибуло|клієнт не відповів|добра якість, швидко|сплачено|повернення",
    ),
    "Bulgarian": (
        "cp1251",
        "София Пловдив Варна Бургас Русе Стара_Загора Плевен Велико_Търново Благоевград",
        "Георги_Димитров Мария_Иванова Стоян_Петров Десислава_Ангелова Пенчо_Щерев",
        "пратката пристигна|клиентът не отговори|добро качество, бързо|платено|върнато",
    ),
    "German": (
        WEST,
        "München Köln Düsseldorf Nürnberg Würzburg Lübeck Gießen Göttingen Saarbrücken Berlin",
        "Jörg_Müller Käthe_Schröder Günther_Weiß Ängela_Krüger Björn_Lüders Heike_Groß",
        "Lieferung verspätet|bitte zurückrufen|Größe passt, Farbe schön|kostet 5 € mehr|fehlt",
    ),
    "French": (
        WEST,
        "Orléans Besançon Nîmes Saint-Étienne Béziers Angoulême Châteauroux Évreux Mâcon Lyon",
        "François_Lefèvre Zoé_Gérard Anaïs_Béranger Jérôme_Hébert Gaëlle_Côté Loïc_Noël",
        "colis reçu en retard|déjà payé|très bonne qualité|à rappeler l’après-midi|l'été prochain",
    ),
    "Spanish": (
        WEST,
        "Málaga Córdoba La_Coruña León Cádiz Logroño Ávila Bogotá Medellín Asunción",
        "José_Núñez María_Peña Íñigo_Muñoz Ángel_Gómez Begoña_Rodríguez Raúl_Ibáñez",
        "llegó tarde|el cliente llamará mañana|calidad muy buena|¿cuándo llega?|devolución",
    ),
    "Portuguese": (
        WEST,
        "São_Paulo Brasília Goiânia Maceió Évora Coimbra Ribeirão_Preto Florianópolis Belém",
        "João_Gonçalves Conceição_Araújo Márcio_Simões Luísa_Magalhães Antônio_Guimarães",
        "entrega atrasada|não atendeu|ótima qualidade, preço bom|já está pago|devolução",
    ),
    "Italian": (
        WEST,
        "Forlì Cantù Roma Milano Cefalù Mondovì Torino Nardò Pescara Bari",
        "Nicolò_Rossi Niccolò_D'Amico Giosuè_Conti Zoè_Bianchi Marco_Carrù",
        "città sbagliata|perché in ritardo|qualità buona|è già pagato|lunedì|sarà più tardi",
    ),
    "Swedish": (
        WEST,
        "Göteborg Malmö Västerås Örebro Linköping Norrköping Jönköping Umeå Gävle Borås Luleå",
        "Åsa_Lindström Björn_Sjöberg Örjan_Åkesson Märta_Öberg Göran_Nyström",
        "paketet är försenat|bra kvalitet|kunden svarade inte på måndag|återlämnat|betalt",
    ),
    "Danish": (
        WEST,
        "København Århus Ålborg Helsingør Næstved Køge Rønne Hillerød Sønderborg Silkeborg",
        "Søren_Jørgensen Åse_Kjær Bjørn_Østergård Mette_Nørgaard Jens_Højgaard",
        "pakken er forsinket|god kvalitet|kunden ønsker at få penge tilbage|betalt på forhånd",
    ),
    "Finnish": (
        WEST,
        "Jyväskylä Hämeenlinna Seinäjoki Järvenpää Mäntsälä Hyvinkää Riihimäki Kemijärvi Oulu",
        "Väinö_Mäkinen Päivi_Hämäläinen Yrjö_Lähteenmäki Äinö_Korhonen Jyrki_Särkkä",
        "paketti myöhässä|hyvä laatu, nopea|ei vastannut tänään|maksettu etukäteen|palautettu",
    ),
    "Icelandic": (
        "cp1252",
        "Reykjavík Ísafjörður Húsavík Egilsstaðir Selfoss Þorlákshöfn Stykkishólmur Höfn",
        "Þórður_Jónsson Guðrún_Sigurðardóttir Björk_Ólafsdóttir Ágúst_Þórsson",
        "pakkinn kom seint|góð gæði|viðskiptavinur svaraði ekki|greitt|þarf að hringja",
    ),
    "Lithuanian": (
        "cp1257",
        "Klaipėda Šiauliai Panevėžys Kėdainiai Telšiai Tauragė Mažeikiai Vilnius Utena",
        "Žydrūnas_Kazlauskas Rūta_Petrauskaitė Šarūnas_Jankauskas Agnė_Vaičiūnienė",
        "siunta vėluoja|gera kokybė|klientas neatsiliepė į skambutį|jau apmokėta|grąžinta",
    ),
    "Latvian": (
        "cp1257",
        "Rīga Liepāja Jelgava Jūrmala Rēzekne Ķekava Valmiera Cēsis Kuldīga Dobele",
        "Jānis_Bērziņš Līga_Kalniņa Kārlis_Ozoliņš Zane_Šmite Ģirts_Žagars",
        "sūtījums kavējas|laba kvalitāte|klients neatbildēja|jau samaksāts|jāzvana vēlāk",
    ),
    "Japanese": (
        "shift_jis cp932 euc_jp",
        "東京都 大阪市 札幌市 横浜市 名古屋市 京都市 神戸市 福岡市",
        "田中太郎 佐藤花子 鈴木一郎 高橋さくら ｱｵｷ_ｹﾝ",
        "配達が遅れました|お客様に電話してください|品質が良い|支払い済み|返品",
    ),
    "Chinese": (
        "gbk gb2312 gb18030",
        "北京市 上海市 广州市 深圳市 成都市 重庆市 西安市 杭州市",
        "王小明 李娜 张伟 刘洋 陈静",
        "包裹已经到了|客户没有回答|质量很好，速度快|已付款|退货",
    ),
    "Taiwanese": (
        "big5 cp950",
        "臺北市 高雄市 臺中市 臺南市 新竹市 基隆市 嘉義市 桃園市",
        "陳怡君 林志明 黃淑芬 張家豪 李雅婷",
        "包裹已經到了|客戶沒有回答|品質很好，速度快|已付款|退貨",
    ),
    "Korean": (
        "euc_kr cp949",
        "서울 부산 대구 인천 광주 대전 울산 수원",
        "김민수 이영희 박지훈 최은정 정우성",
        "배송이 늦었습니다|고객이 응답하지 않음|품질이 좋다|결제 완료|반품",
    ),
    "Hebrew": (
        "cp1255",
        "ירושלים תל_אביב חיפה באר_שבע אשדוד נתניה אילת צפת",
        "יוסי_כהן רחל_לוי משה_פרץ שרה_מזרחי",
        "החבילה הגיעה|הלקוח לא ענה|איכות טובה|שולם|הוחזר",
    ),
    "Arabic": (
        "cp1256 iso8859-6",
        "القاهرة الرياض بغداد دمشق بيروت عمان الدار_البيضاء الجزائر",
        "محمد_أحمد فاطمة_علي خالد_إبراهيم مريم_حسن",
        "وصل الطرد|العميل لم يرد|جودة ممتازة|تم الدفع|مرتجع",
    ),
    "Thai": (
        "cp874 tis-620",
        "กรุงเทพ เชียงใหม่ ขอนแก่น ภูเก็ต นครราชสีมา อุดรธานี",
        "สมชาย_ใจดี มาลี_สุขใจ วิชัย_ทองดี",
        "พัสดุมาถึงแล้ว|ลูกค้าไม่ตอบ|คุณภาพดี|ชำระแล้ว",
    ),
}
SIZES = {"3 towns": 3, "6 rows": 6, "60 rows": 60, "400 rows": 400, "once in 50": 50}


class Case(NamedTuple):
    """A small CSV file: its name, its encoding, its text and its bytes."""

    name: str
    encoding: str
    text: str
    content: bytes


def cases(
    sizes: dict[str, int] = SIZES, languages: Iterable[str] = tuple(LANGUAGES)
) -> Iterator[Case]:
    """Yield a file for each language, encoding and size; always the same ones."""
    for language in languages:
        encodings, towns, people, remarks = LANGUAGES[language]
        lists = [
            [text.replace("_", " ") for text in towns.split()],
            [text.replace("_", " ") for text in people.split()],
            remarks.split("|"),
        ]
        for encoding in encodings.split():
            for size, count in sizes.items():
                dice = random.Random(f"{language} {size}")
                made = _table(size, count, lists, dice)
                text = "\r\n".join(made) + "\r\n"
                if encoding == "mac_roman":
                    text = text.replace("\r\n", "\r")
                try:
                    content = text.encode(encoding)
                except UnicodeEncodeError:  # a typist does without what the machine lacks
                    content = text.encode(encoding, "ignore")
                    text = content.decode(encoding)
                if not content.isascii():
                    yield Case(f"{language} {encoding} {size}", encoding, text, content)


def _table(size: str, count: int, lists: list, dice: random.Random) -> list[str]:
    towns, people, remarks = lists
    if size == "3 towns":
        some = dice.sample(towns, 3)
        return ["id,town,n", *(f"{n},{town},{n * 7}" for n, town in enumerate(some, 1))]
    if size == "once in 50":
        plain = [f"{n};station {n};ok;{n * 1.5}" for n in range(1, count + 1)]
        plain[count // 2] = f"{count};{dice.choice(towns)};{dice.choice(people)};1.5"
        return ["id;place;state;value", *plain]
    mark = dice.choice(",;\t")
    rows = [["id", "date", "town", "name", "remark"]]
    for n in range(1, count + 1):
        date = f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}"
        words = dice.choice(towns), dice.choice(people), dice.choice(remarks)
        rows.append([str(n), date, *(word.replace(mark, " ") for word in words)])
    return [mark.join(row) for row in rows]


def is_right(guess: Callable[[bytes], str | None], case: Case) -> bool:
    """Does that guess at an encoding give back the text of this file?"""
    try:
        return case.content.decode(guess(case.content) or "ascii") == case.text
    except (UnicodeError, LookupError):
        return False


def main() -> None:
    """Print how many of the files each way of guessing decodes rightly."""
    import chardet
    from charset_normalizer import from_bytes  # Jupyter brings it

    from streamlib.rows.encoding import likeliest

    path, files = Path(tempfile.mkdtemp()) / "small.csv", list(cases())

    def ours(content: bytes) -> str:
        path.write_bytes(content)
        return likeliest(path)

    ways = {
        "charset-normalizer": lambda b: getattr(from_bytes(b).best(), "encoding", None),
        "chardet": lambda b: chardet.detect(b)["encoding"],
        "chardet, supersets": lambda b: chardet.detect(b, prefer_superset=True)["encoding"],
        "the lab": ours,
    }
    print(f"{len(files)} files in {len(LANGUAGES)} languages, decoded rightly:")
    for way, guess in ways.items():
        right = [case.name for case in files if is_right(guess, case)]
        parts = [f"{size} {sum(name.endswith(size) for name in right)}" for size in SIZES]
        print(f"{way:20} {len(right)}  ({', '.join(parts)})")


if __name__ == "__main__":
    main()
