using System.Diagnostics;
using Tern.Text.Templates;

namespace Tern.Tests.Text.Templates;

/// <summary>Templates that would take all time, memory or stack: each ends with an error that names what it used up.</summary>
public sealed class TemplateBudgetTests
{
    // Far above what any of them takes (all but a few under 100 ms here), far below what any of them would take without budgets.
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(3);

    public static TheoryData<string, string, string> Hostile => new()
    {
        { "nested loops", "{% for i in range(1000) %}{% for j in range(1000) %}{% for k in range(1000) %}{% endfor %}{% endfor %}{% endfor %}", "step" },
        { "one long loop", "{% for i in range(1000000000) %}{% endfor %}", "step" },
        { "string repeat", "{{ 'a' * 1000000000 }}", "memory" },
        { "list repeat", "{{ [1] * 1000000000 }}", "step" },
        { "doubling", "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "memory" },
        { "growing list", "{% set l = [] %}{% for i in range(10000000) %}{% set _ = l.append(i) %}{% endfor %}", "step" },
        { "growing dict", "{% set d = {} %}{% for i in range(10000000) %}{% set _ = d.update({i: i}) %}{% endfor %}", "memory" },
        { "padding", "{{ 'a'.center(2000000000) }}", "step" },
        { "output", "{% for i in range(400000) %}aaaaaaaaaaaaaaaa{% endfor %}", "output" },
        { "recursion", "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}", "depth" },
        { "many calls", "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}", "memory" },
        { "deep value", "{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "depth" },
        { "cycle", "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}", "depth" },
        { "shared levels", "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "step" },
        { "search in a period", "{% set a = 'a' * 1000000 %}{{ ('a' * 500000 ~ 'b') in a }}", "step" },
        { "search again and again", "{% set a = 'ab' * 400000 %}{% for i in range(100000) %}{{ a.find('abababac') }}{% endfor %}", "step" },
        { "split again and again", "{% set a = 'a' * 200000 %}{% for i in range(100000) %}{{ a.split('a')|length }}{% endfor %}", "memory" },
        { "strip again and again", "{% set a = ' ' * 1000000 %}{% for i in range(100000) %}{{ a.strip() }}{{ a.isspace() }}{% endfor %}", "step" },
        { "strip of many characters", "{% set a = 'ab' * 300000 %}{{ a.strip('c' * 300000 ~ 'ba') }}", "step" },
        { "sort again and again", "{% set d = range(20000)|list %}{% for i in range(100000) %}{% set _ = d|sort %}{% endfor %}", "memory" },
        { "chain", "{{ 1" + string.Concat(Enumerable.Repeat("+1", 100_000)) + " }}", "depth" },
        { "dots", "{{ range" + string.Concat(Enumerable.Repeat("|e", 100_000)) + " }}", "depth" },
        { "parentheses", "{{ " + new string('(', 20_000) + "1" + new string(')', 20_000) + " }}", "nesting" },
        { "brackets", "{{ " + new string('[', 20_000) + "1" + new string(']', 20_000) + " }}", "nesting" },
        { "negations", "{{ " + string.Concat(Enumerable.Repeat("not ", 20_000)) + "1 }}", "nesting" },
        { "signs", "{{ " + string.Concat(Enumerable.Repeat("- ", 20_000)) + "1 }}", "nesting" },
        { "blocks", string.Concat(Enumerable.Repeat("{% if 1 %}", 20_000)), "nesting" },
        { "conditionals", "{{ " + string.Concat(Enumerable.Repeat("1 if 0 else ", 15_000)) + "2 }}", "nesting" },
        { "source", new string('x', 300_000), "source" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_template_ends_with_the_name_of_its_budget(string name, string template, string budget)
    {
        var clock = Stopwatch.StartNew();
        Assert.Contains($" {budget} budget of ", Rendering.Error(template), StringComparison.Ordinal);
        Assert.True(clock.Elapsed < s_limit, $"{name} took {clock.Elapsed}");
    }

    [Fact]
    public void Every_budget_says_its_limit_and_can_be_set()
    {
        var small = new TemplateBudget { Steps = 100, Depth = 20, MemoryBytes = 1000, OutputCharacters = 10, Nesting = 5, SourceCharacters = 200 };
        Assert.Equal("template line 1: step budget of 100 exceeded", Rendering.Error("{% for i in range(99) %}{% endfor %}", budget: small));
        Assert.Equal("template line 2: depth budget of 20 levels exceeded", Rendering.Error("\n{{ 1" + string.Concat(Enumerable.Repeat("+1", 30)) + " }}", budget: small));
        Assert.Equal("template line 1: memory budget of 1000 bytes exceeded", Rendering.Error("{{ 'ab' * 200 }}", budget: small));
        Assert.Equal("template line 1: output budget of 10 characters exceeded", Rendering.Error("12345678901", budget: small));
        Assert.Equal("template line 1: nesting budget of 5 levels exceeded", Rendering.Error("{{ ((((((1)))))) }}", budget: small));
        Assert.Equal("template line 1: source budget of 200 characters exceeded: the template has 201", Rendering.Error(new string('x', 201), budget: small));
    }

    [Fact]
    public void What_stays_inside_the_budgets_renders()
    {
        Assert.Equal("2", Rendering.Of("{{ " + string.Concat(Enumerable.Repeat("1 if 0 else ", 90)) + "2 }}"));
        Assert.Equal("151", Rendering.Of("{{ 1" + string.Concat(Enumerable.Repeat("+1", 150)) + " }}"));
        Assert.Equal("ok", Rendering.Of("{% if 0 %}" + string.Concat(Enumerable.Repeat("{% elif 0 %}", 10_000)) + "{% else %}ok{% endif %}"));
        Assert.Equal(50, Rendering.Of("{% macro m(n) %}{% if n > 0 %}x{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(50) }}").Length);
        Assert.Equal(1_000_000, Rendering.Of("{{ 'x' * 1000000 }}").Length);
    }

    [Fact]
    public void The_deepest_evaluation_fits_a_small_stack()
    {
        string? message = null;
        var thread = new Thread(
            () => message = Rendering.Error("{% macro m(x) %}{% for i in [1] %}{% if 1 %}{{ '' ~ ([m(x)]|map('upper')|list)[0] }}{% endif %}{% endfor %}{% endmacro %}{{ m(1) }}"),
            maxStackSize: 512 * 1024);
        thread.Start();
        thread.Join();
        Assert.Contains("depth budget", message!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{{ ''.__class__.__mro__[1].__subclasses__() }}")]
    [InlineData("{{ ''.__class__ }}")]
    [InlineData("{{ ''['__class__'] }}")]
    [InlineData("{{ ''|attr('__class__') }}")]
    [InlineData("{{ [1]|map(attribute='__class__')|list }}")]
    [InlineData("{{ ''.GetType().Assembly }}")]
    [InlineData("{{ range.__globals__ }}")]
    [InlineData("{{ namespace().__init__ }}")]
    [InlineData("{% for i in [1] %}{{ loop.__class__ }}{% endfor %}")]
    [InlineData("{{ '{0.__class__}'.format(1) }}")]
    [InlineData("{{ '{0[a]}'.format({'a': 1}) }}")]
    [InlineData("{{ '{:>1000000000}'.format(1) }}")]
    [InlineData("{{ '{a!r}'.format(a=1) }}")]
    [InlineData("{{ '%1000000000d' % 1 }}")]
    [InlineData("{{ '%n' % 1 }}")]
    public void No_internals_can_be_reached(string template) => Rendering.Error(template);
}
