"""Which countries lie on a continent, by the codes that places carry: "photos from Asia"."""

_LISTED = {
    "Africa": """ao bf bi bj bw cd cf cg ci cm cv dj dz eg eh er et ga gh gm gn gq gw ke km lr ls ly ma mg ml mr mu mw
        mz na ne ng re rw sc sd sh sl sn so ss st sz td tg tn tz ug yt za zm zw""",
    "Asia": """ae af am az bd bh bn bt cn ge hk id il in iq ir jo jp kg kh kp kr kw kz la lb lk mm mn mo mv my np om ph
        pk ps qa sa sg sy th tj tl tm tr tw uz vn ye""",
    "Europe": """ad al at ax ba be bg by ch cy cz de dk ee es fi fo fr gb gg gi gr hr hu ie im is it je li lt lu lv mc
        md me mk mt nl no pl pt ro rs ru se si sj sk sm tr ua va xk""",
    "North America": """ag ai aw bb bl bm bq bs bz ca cr cu cw dm do gd gl gp gt hn ht jm kn ky lc mf mq ms mx ni pa pm
        pr sv sx tc tt us vc vg vi""",
    "South America": "ar bo br cl co ec fk gf gy pe py sr uy ve",
    "Oceania": "as au ck fj fm gu ki mh mp nc nf nr nu nz pf pn pw sb tk to tv vu wf ws",
    "Scandinavia": "dk no se",
    "The Balkans": "al ba bg gr hr me mk ro rs si xk",
    "The Caribbean": "ag ai aw bb bl bq bs cu cw dm do gd gp ht jm kn ky lc mf mq ms pr sx tc tt vc vg vi",
}
CONTINENTS = {name: frozenset(codes.split()) for name, codes in _LISTED.items()}


def continents_of(country: str) -> list[str]:
    """The names under which a country (ISO 3166, two letters in lower case) is asked for together with others."""
    return [name.removeprefix("The ") for name, codes in CONTINENTS.items() if country in codes]
