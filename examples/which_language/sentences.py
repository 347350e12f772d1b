"""A sentence of our own in each language, for the tests; none is about software, as those of the training are."""

SENTENCES = {
    "Czech": "Zítra pojedeme vlakem k moři",
    "Danish": "Vi spiser morgenmad i haven i morgen",
    "German": "Morgen frühstücken wir im Garten",
    "English": "The children are playing in the garden",
    "Spanish": "Los niños juegan en el jardín",
    "Estonian": "Lapsed mängivad homme aias",
    "Finnish": "Lapset leikkivät huomenna puutarhassa",
    "French": "Les enfants jouent dans le jardin",
    "Hungarian": "A gyerekek holnap a kertben játszanak",
    "Indonesian": "Anak itu sedang bermain di taman",
    "Italian": "I bambini giocano nel giardino",
    "Latvian": "Bērni rīt spēlēsies dārzā",
    "Dutch": "De kinderen spelen morgen in de tuin",
    "Polish": "Dzieci bawią się jutro w ogrodzie",
    "Portuguese": "As crianças brincam no jardim",
    "Romanian": "Copiii se joacă mâine în grădină",
    "Swedish": "Barnen leker i trädgården i morgon",
    "Turkish": "Çocuklar yarın bahçede oynayacak",
}
