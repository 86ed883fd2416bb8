namespace Tern.Tests.Text.Templates;

/// <summary>
/// Small templates with the text that Python's jinja2 3.1 gives in the environment of Hugging Face
/// (sandboxed, trim_blocks, lstrip_blocks, loop controls); the expected texts were printed by it.
/// </summary>
public sealed class TemplateLanguageTests
{
    private const string Variables = """
        {"s": "Hello World", "e": "", "n": 5, "neg": -3, "f": 2.5, "t": true, "no": null, "l": [3, 1, 2], "ls": ["b", "A", "c"],
         "d": {"b": 1, "a": 2}, "nested": {"x": {"y": [1, {"z": "q"}]}}, "u": "héllo 😀 ✓", "ml": "line1\nline2\n\nline4", "q": "it's \"q\"",
         "items2": [{"n": "x", "v": 1}, {"n": "Y", "v": 2}, {"n": "x", "v": 3}],
         "msgs": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}]}
        """;

    public static TheoryData<string, string> Expressions => new()
    {
        // Texts are rows of code points.
        { "u[6]", "😀" }, { "u[::-1]", "✓ 😀 olléh" }, { "u|length", "9" }, { "u[5:8]", " 😀 " }, { "u.find('✓')", "8" },
        { "s[10:0:-3]", "dooe" }, { "s[100]", "" }, { "s[-3:]", "rld" }, { "u.center(13, '*')", "**héllo 😀 ✓**" },
        // Numbers.
        { "-7//2", "-4" }, { "-7%3", "2" }, { "7%-3", "-2" }, { "7/2", "3.5" }, { "6/2", "3.0" }, { "2**10", "1024" }, { "2**-1", "0.5" }, { "-2**2", "4" },
        { "True+True", "2" }, { "1.0 in l", "True" }, { "1 < 2 < 3", "True" }, { "2.5|round", "2.0" }, { "3.5|round", "4.0" }, { "5|round", "5" },
        { "2.9|round(0, 'floor')", "2.0" }, { "'3.9'|int", "3" }, { "'0x1f'|int(0, 16)", "31" }, { "'x'|int(7)", "7" }, { "'1e3'|float", "1000.0" },
        { "[1.0, 1e20, 1e-7, 0.1, 1e16, 1e15, 123456789012345680.0]", "[1.0, 1e+20, 1e-07, 0.1, 1e+16, 1000000000000000.0, 1.2345678901234568e+17]" },
        { "0x1F + 0b101 + 0o17 + 1_000", "1051" },
        // How things print.
        { "[q, none, true, 1.5, (1,), {}]", "['it\\'s \"q\"', None, True, 1.5, (1,), {}]" }, { "['\\x01é\\t']", "['\\x01é\\t']" },
        { "1 ~ none ~ true ~ x", "1NoneTrue" }, { "s, n", "('Hello World', 5)" },
        // Binding.
        { "-5|abs", "5" }, { "-n|abs", "5" }, { "n - 1|abs", "4" }, { "'a' ~ 'b'|upper", "aB" }, { "2 ** 3 ** 2", "64" }, { "1 ~ 2 * 3", "16" },
        { "not 1 == 2", "True" }, { "'yes' if x is defined else 'else'", "else" }, { "1 if no", "" }, { "no or e or 'z'", "z" },
        { "n is divisibleby 5 and n is not none", "True" }, { "'a' 'b'", "ab" },
        // JSON as Python spaces it.
        { "nested|tojson", "{\"x\": {\"y\": [1, {\"z\": \"q\"}]}}" }, { "[1, [], {}]|tojson(indent=2)", "[\n  1,\n  [],\n  {}\n]" },
        { "u|tojson", "\"héllo 😀 ✓\"" }, { "u|tojson(true)", "\"h\\u00e9llo \\ud83d\\ude00 \\u2713\"" }, { "{1: none, true: 1.5}|tojson", "{\"1\": 1.5}" },
        { "'</a>&\\x7f'|tojson", "\"</a>&\x7f\"" },
        // Filters.
        { "ls|sort", "['A', 'b', 'c']" }, { "ls|sort(case_sensitive=true)", "['A', 'b', 'c']" }, { "items2|sort(attribute='n')|map(attribute='v')|list", "[1, 3, 2]" },
        { "items2|groupby('n')", "[('x', [{'n': 'x', 'v': 1}, {'n': 'x', 'v': 3}]), ('Y', [{'n': 'Y', 'v': 2}])]" },
        { "l|batch(2, 0)|list", "[[3, 1], [2, 0]]" }, { "l|slice(2, 9)|list", "[[3, 1], [2, 9]]" }, { "l|select('odd')|list", "[3, 1]" },
        { "items2|rejectattr('v', 'gt', 1)|list", "[{'n': 'x', 'v': 1}]" }, { "[1, 1.0, true, '1']|unique|list", "[1, '1']" },
        { "s|replace('o', '0', 1)", "Hell0 World" }, { "'foo-bar (baz)'|title", "Foo-Bar (Baz)" }, { "ml|indent(2, blank=true)", "line1\n  line2\n  \n  line4" },
        { "s|truncate(8, leeway=0)", "Hello..." }, { "s|truncate(8, true, leeway=0)", "Hello..." }, { "e|default('d', true)", "d" }, { "no|default('d')", "None" },
        { "msgs[1:]|map(attribute='tool_calls.0.name')|list", "['f']" }, { "'<a&\"'|e", "&lt;a&amp;&#34;" }, { "'%05.2f|%-4s|%d%%'|format(f, 'a', 7)", "02.50|a   |7%" },
        { "d|dictsort(by='value')", "[('b', 1), ('a', 2)]" }, { "items2|sum(attribute='v')", "6" }, { "[[1], [2]]|sum(start=[])", "[1, 2]" },
        // Methods.
        { "'  a  b  c '.split(none, 1)", "['a', 'b  c ']" }, { "'  a  b  c '.rsplit(none, 1)", "['  a  b', 'c']" }, { "'a,b,,c'.split(',')", "['a', 'b', '', 'c']" },
        { "s.partition('zz')", "('Hello World', '', '')" }, { "s.rpartition('o')", "('Hello W', 'o', 'rld')" }, { "s.startswith(('x', 'He'))", "True" },
        { "s.strip('Hd')", "ello Worl" }, { "ml.splitlines(true)", "['line1\\n', 'line2\\n', '\\n', 'line4']" }, { "'-5'.zfill(4)", "-005" }, { "'ab'.center(5) ~ '|'", "  ab |" },
        { "\"they're\".title()", "They'Re" }, { "s.removeprefix('Hello')", " World" }, { "', '.join(ls)", "b, A, c" }, { "s.count('')", "12" },
        { "{'items': 5}['items']", "5" }, { "{'items': 5}.items()|list", "[('items', 5)]" }, { "nested.x.y.0", "1" }, { "d.zz is defined", "False" },
        { "(msgs|last).tool_calls[0].arguments.a", "1" }, { "msgs[::-1]|map(attribute='role')|join(' ')", "assistant user" },
        { "range(5, 0, -2)|list", "[5, 3, 1]" }, { "range(10)[2:5]|list", "[2, 3, 4]" }, { "dict({'a': 1}, b=2)", "{'a': 1, 'b': 2}" },
        { "strftime_now('%Y-%m-%d %d %b %Y %H:%M:%S %p %A %j %-d %I%%')", "2026-03-07 07 Mar 2026 09:05:03 AM Saturday 066 7 09%" },
    };

    public static TheoryData<string, string> Templates => new()
    {
        { "{% for i in l %}{{ loop.index }}{{ loop.revindex }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }},{% endfor %}", "131a,2232b,311a," },
        { "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123" },
        { "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{% else %}none{% endfor %}", "312222" },
        { "{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01245" },
        { "{% for i in [1, [2, [3]]] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}@{{ loop.depth }}{% endif %}{% endfor %}", "1@1(2@2(3@3))" },
        { "{% set x = 1 %}{% for i in l %}{{ y }}{% set x = i %}{% set y = i %}{{ x }}{% endfor %}{{ x }}{{ y }}", "3121" },
        { "{% set ns = namespace(x=0, l=[]) %}{% for i in l %}{% set ns.x = ns.x + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.x }}{{ ns.l }}", "6[3, 1, 2]" },
        { "{% macro m(a, b=2, c=a) %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=4) }}{{ m(b=1) }}{{ m(*[7], **{'b': 8}) }}", "[1|2|1][1|2|4][|1|][7|8|7]" },
        { "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{{ n }}{% endcall %}", "125" },
        { "{% macro m() %}{{ n }}{{ later }}{% set n = 9 %}{{ n }}{% endmacro %}{% set later = 7 %}{{ m() }}{{ n }}", "5795" },
        { "{% for i in l %}{% macro mm() %}{{ i }}{% endmacro %}{{ mm() }}{% endfor %}", "312" },
        { "{% set x | upper | trim %}  block {{ n }} {% endset %}[{{ x }}]", "[BLOCK 5]" },
        { "{% filter replace('a', 'b')|upper %}abc{{ s }}{% endfilter %}", "BBCHELLO WORLD" },
        { "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "3" },
        { "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a = 1, 2 %}{{ a }}", "12(1, 2)" },
        { "{% if no %}a{% elif t %}b{% else %}c{% endif %}{% if t %}{% set z = 5 %}{% endif %}{{ z }}", "b5" },
        { "{% generation %}x{% endgeneration %}", "x" },
        { "{{ {'a': {'b': {}}} }}{{ '}}' }}{{ '%}' }}", "{'a': {'b': {}}}}}%}" },
        // White space.
        { "{%- raw -%}  {{ x }}  {%- endraw -%}  after", "{{ x }}after" },
        { "{% raw %}\na\n   {% endraw %}\nb", "\na\nb" },
        { "a {# c #} b {#- d -#} c", "a  bc" },
        { "   {# comment #}\ntext\n", "text" },
        { "a\n  {%+ if t %}b{% endif +%}\nc", "a\n  b\nc" },
        { "a\n  {{- s -}}\n  b", "aHello Worldb" },
        { "{% for i in l %}\n  {{ i }}\n{% endfor %}\nend\n\n", "  3\n  1\n  2\nend\n" },
        { "{% for i in l -%}\n  {{ i }}\n{%- endfor %}\nend", "312end" },
        { "a{% if t %}\r\n\r\nb{% endif %}\r\n\r\nc", "a\nb\nc" },
        { "{{s}}{{-n}}{{ -n }}", "Hello World5-5" },
    };

    [Theory]
    [MemberData(nameof(Expressions))]
    public void An_expression_prints_as_in_Python(string expression, string expected) =>
        Assert.Equal(expected, Rendering.Of("{{ " + expression + " }}", Variables));

    [Theory]
    [MemberData(nameof(Templates))]
    public void A_template_renders_as_in_Python(string template, string expected) =>
        Assert.Equal(expected, Rendering.Of(template, Variables));

    [Theory]
    [InlineData("{% set _ = l.append(9) %}{{ l }}{{ l.pop(0) }}{{ l }}", "[3, 1, 2, 9]3[1, 2, 9]")]
    [InlineData("{% set _ = d.update({'c': 3}) %}{{ d }}{{ d.pop('b') }}{{ d.setdefault('z', 1) }}{{ d }}", "{'b': 1, 'a': 2, 'c': 3}11{'a': 2, 'c': 3, 'z': 1}")]
    [InlineData("{% set r = range(3) %}{% set _ = r.insert(1, 7) %}{{ r }}", "[0, 7, 1, 2]")]
    public void Lists_and_dictionaries_can_be_changed_although_the_sandbox_of_Hugging_Face_forbids_it(string template, string expected) =>
        Assert.Equal(expected, Rendering.Of(template, Variables));

    [Theory]
    [InlineData("{% if t %}", 1, "'{% endif %}'")]
    [InlineData("a\n{{ s", 2, "not closed")]
    [InlineData("\n\n{{ 'abc }}", 3, "string is not closed")]
    [InlineData("{{ (1 }}", 1, "'}' where ')' must close")]
    [InlineData("{% endif %}", 1, "'endif'")]
    [InlineData("{# a\nb", 1, "comment")]
    [InlineData("\n{% include 'x' %}", 2, "'include' is not known")]
    [InlineData("{% for i in l %}{% endif %}", 1, "'{% endfor %}'")]
    [InlineData("{{ }}", 1, "an expression")]
    [InlineData("{% break %}", 1, "loop's own body")]
    [InlineData("{{ 9223372036854775808 }}", 1, "64 bits")]
    [InlineData("{{ 9223372036854775807 + 1 }}", 1, "64-bit")]
    [InlineData("\n{{ n ~\n missing.x }}", 3, "'missing' is undefined")]
    [InlineData("{{ d.zz.y }}", 1, "'zz' is undefined")]
    [InlineData("{{ nofunc() }}", 1, "'nofunc' is undefined")]
    [InlineData("{{ s() }}", 1, "'str' cannot be called")]
    [InlineData("{{ 'a' + 1 }}", 1, "'+' is not defined between 'str' and 'int'")]
    [InlineData("{{ s + no }}", 1, "'NoneType'")]
    [InlineData("{{ 1 // 0 }}", 1, "division by zero")]
    [InlineData("{{ [1, 'a']|sort }}", 1, "'<' is not defined")]
    [InlineData("{{ {l: 1} }}", 1, "'list' cannot be a key")]
    [InlineData("\n\n{{ s|nofilter }}", 3, "no filter 'nofilter'")]
    [InlineData("{{ s is notest }}", 1, "no test 'notest'")]
    [InlineData("{{ s|replace('a') }}", 1, "replace() needs the argument 'new'")]
    [InlineData("{{ s|trim(1, 2) }}", 1, "at most 1")]
    [InlineData("{{ s|trim(wrong=1) }}", 1, "no argument 'wrong'")]
    [InlineData("{% macro m(a) %}{% endmacro %}\n{{ m(1, 2) }}", 2, "at most 1")]
    [InlineData("{% set d.x = 1 %}", 1, "not a namespace")]
    [InlineData("{% set a, b = [1] %}", 1, "1 values cannot be unpacked into 2")]
    [InlineData("{% for i in n %}{% endfor %}", 1, "'int' cannot be iterated")]
    [InlineData("\n{{ raise_exception('roles must alternate, at ' ~ n) }}", 2, "roles must alternate, at 5")]
    [InlineData("{{ missing|tojson }}", 1, "'missing' is undefined")]
    [InlineData("{{ s[::0] }}", 1, "must not be 0")]
    public void An_error_names_the_line_and_the_cause(string template, int line, string cause)
    {
        string message = Rendering.Error(template, Variables);
        Assert.StartsWith($"template line {line}: ", message, StringComparison.Ordinal);
        Assert.Contains(cause, message, StringComparison.Ordinal);
    }
}
