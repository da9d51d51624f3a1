"""Words that captions are made of whatever they describe: what no trigger is, and what is no news when it is frequent.

Lists of common words, Danbooru tags and captioning models' habits; they say how a caption is read and judge nothing.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _tags(text: str) -> frozenset[str]:
    return frozenset(" ".join(tag.split()) for tag in text.split(","))


FUNCTION_WORDS = _words("""
a an the this that these those some any each every other another such one two three both all no not nor so too very
quite rather more most less least much many few own same of on in at to from by with without for and or but as if than
then while when where which who whom whose what why how is are was were be been being am it its it's he she they them
him her his their our your my me i you we us into onto over under above below near beside between among through during
up down out off again further here there along across around behind against toward towards beyond within throughout
beneath underneath atop amid upon about after before do does did has have had having will would can could may might
must should also just only s t like
""")
CONNECTORS = _words("""
wear wears wearing worn dressed hold holds holding carry carries carrying feature features featuring featured
show shows showing shown depict depicts depicting depicted contain contains containing include includes including
appear appears appearing seem seems visible seen
""")
"""What introduces a thing and is none itself: `wearing` is everywhere and says nothing."""
CLASS_WORDS = _words("""
1girl 2girls 3girls multiple-girls 1boy 2boys 1other solo girl girls boy boys woman women man men person people female
male lady guy child teenager adult character human figure creature cat dog animal
""") | {"multiple girls", "multiple boys", "young woman", "young man", "young girl", "no humans", "solo focus"}
"""What the character is a kind of."""
GENERAL_WORDS = _words("""
photo photograph photography picture image portrait illustration drawing artwork art painting render anime manga style
cartoon realistic photorealistic 3d 2d cgi digital shot view scene background foreground camera selfie frame close-up
closeup
headshot viewer looking medium wide angle focus composition subject young old beautiful pretty cute
""")
"""What any picture is, whoever is in it."""
QUALIFIERS = _words("""
young old beautiful pretty cute lovely gorgeous attractive stylish casual natural looking look looks face faces front
body figure head expression appearance long short tall
""")
"""What any person is or has: with a word that is meant it is no phrase of its own (`slender young woman`)."""
_QUALITY = """
masterpiece, best quality, high quality, good quality, normal quality, low quality, worst quality, amazing quality,
very aesthetic, aesthetic, displeasing, very displeasing, absurdres, highres, high resolution, incredibly absurdres,
ultra detailed, highly detailed, detailed, newest, recent, mid, early, oldest, safe, sensitive, questionable, explicit,
general, rating safe, rating general, rating sensitive, rating questionable, rating explicit, source anime,
source cartoon, source pony, source furry, 4k, 8k, hd, uhd, hdr, raw photo, dslr, commentary, commentary request,
english commentary, official art, signature, artist name, dated, watermark, web address, twitter username,
virtual youtuber, original, bad id, bad pixiv id, commission, raw, sharp focus, professional, lowres
"""
QUALITY_TAGS = _tags(_QUALITY) | {f"score {n}" for n in range(10)} | {f"score {n} up" for n in range(10)}
FRAMING_WORDS = _tags("""
close-up, closeup, portrait, headshot, upper body, lower body, full body, cowboy shot, half body, bust, wide shot,
face, from side, from behind, from above, from below, profile, head shot, medium shot, full-body, upper-body
""")
ANATOMY = _words("""
hair eyes eye skin bangs fringe ponytail twintails braid braids sidelocks ahoge ears ear tail horns horn wings freckles
mole scar
eyebrows eyelashes lips teeth fangs breasts waist hips thighs features beard mustache nose chin
cheekbones
parting complexion physique build intakes pupils
""")
"""Last words of tokens about the character's own face, hair and figure."""
IN_NO_VOCABULARY = _words("""
ahoge sidelocks serafuku thighhighs kneehighs hairclip hairband hairpin twintails pantyhose leotard zettai ryouiki
heterochromia choker kimono yukata hakama obi haori geta tabi miko seifuku loli shota chibi futanari furry
kemonomimi nekomimi kitsune oni tsurime tareme yaeba sanpaku ojou-sama gyaru kogal otoko osananajimi tokin randoseru
turtleneck miniskirt crossover detached frilled pleated asymmetrical holographic multicolored two-tone streaked gradient
blunt parted hime braided crossed slender toned undercut armpits navel midriff cleavage collarbone
blurry bokeh outdoors indoors contrapposto petite tan twintail high-waist
tankini bikini swimsuit headphones headset earrings necklace pendant glasses eyewear beret hoodie cardigan waistband
loafers sneakers sandals boots shiny absurdly fingernails toenails eyeshadow eyeliner lipstick blush freckled tattoo
piercing bandaid bandaged eyepatch facepaint hairstyle backlit backlighting monochrome greyscale grayscale sepia
""")
"""Common tags and caption words that are no whole words of CLIP's vocabulary, or rare ones."""
ENVIRONMENT_WORDS = _words("""
indoors outdoors street city cityscape town village alley road bridge park garden forest woods tree trees jungle field
meadow mountain mountains hill cliff desert beach ocean sea seaside shore lake river waterfall pool poolside underwater
sky night_sky sunset snow rain room bedroom bathroom kitchen living-room hallway corridor classroom school library
office cafe café restaurant bar shop store mall market supermarket gym hospital church temple shrine castle ruins cave
stage concert stadium theater museum gallery station train subway bus car airport rooftop balcony window stairs
staircase bed couch sofa desk building buildings house interior exterior landscape festival spaceship space laboratory
warehouse factory farm barn dojo onsen aquarium zoo playground courtyard terrace studio
""")
POSE_WORDS = _words("""
standing sitting sits walking walks running lying kneeling squatting crouching leaning jumping dancing swimming reading
waving stretching sleeping eating drinking cooking singing playing fighting riding driving climbing bending crossed
seiza wariza posing arms_up hands hand arm arms leg legs pose holding reaching pointing hugging spread salute
reclining resting typing writing looking_back stands
""")
OUTFIT_WORDS = _words("""
shirt t-shirt blouse sweater hoodie jacket coat cardigan vest tank_top crop_top top dress sundress gown skirt miniskirt
pants trousers jeans shorts leggings pantyhose thighhighs stockings socks shoes boots sneakers sandals heels uniform
serafuku suit tuxedo kimono yukata hakama swimsuit bikini leotard bodysuit armor apron robe cloak cape scarf gloves hat
cap beret turtleneck overalls pajamas lingerie underwear outfit clothes clothing costume nude naked tie necktie bow
ribbon belt collar choker
""")
OF_BODIES = _words("""
tan tanned pale slender slim thin skinny lean athletic muscular toned curvy plump chubby fat stocky lanky petite
short tall
""")
"""Labels of one word that say how somebody is built or what skin somebody has, and that things have too."""
BODIES = CLASS_WORDS | _words("""
body figure build frame physique silhouette form stature waist hips torso legs limbs skin complexion tone
queen princess king prince gentleman kid toddler baby
""")
"""What has it, behind such a word: `an athletic woman`, and no `athletic shoes`."""
SHAPES = _words("""
very long short medium medium-length shoulder-length waist-length straight wavy curly messy tousled spiky fluffy silky
shiny glossy flowing sleek smooth thick thin loose wet braided big large round narrow glowing sparkling piercing
expressive freckled
""")
"""What hair, eyes or skin can be besides their colour."""
COLOURS = _words("""
white silver grey black brown blonde golden platinum ginger auburn chestnut orange red pink purple violet lavender blue
aqua teal turquoise green yellow hazel amber olive
""")
SHADES = _words("light dark bright pale deep vivid soft")
"""Before a colour."""
MULTICOLOURED = ("multicolored hair", "two-tone hair", "gradient hair", "streaked hair", "colored inner hair",
                 "split-color hair", "heterochromia", "multicolored eyes", "two-tone eyes", "gradient eyes",
                 "colored tips", "highlights", "ombre hair")  # fmt: skip
"""What makes two colours of hair or eyes true at once."""
_KINDS = {"environment": ENVIRONMENT_WORDS, "pose": POSE_WORDS, "outfit": OUTFIT_WORDS}


def kind_words(kind: str) -> frozenset[str]:
    """Common words that name an environment, a pose or an outfit, as folded words; empty for any other kind."""
    return frozenset(word.replace("_", " ") for word in _KINDS.get(kind, ()))


COMMON = (
    FUNCTION_WORDS | CONNECTORS | CLASS_WORDS | GENERAL_WORDS | QUALITY_TAGS | FRAMING_WORDS | ANATOMY
    | IN_NO_VOCABULARY | kind_words("environment") | kind_words("pose") | kind_words("outfit")
)  # fmt: skip
"""All of them, folded: lower case, spaces for underscores."""
