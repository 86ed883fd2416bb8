using System.Globalization;
using Tern.Hub;

namespace Tern.Tests.Hub;

/// <summary>Downloads from a hub that behaves, and from one that does not.</summary>
public sealed class PullTests
{
    private static readonly FakeFile s_model = new("model-I2_S.gguf", FakeHub.RandomBytes(1, 100_000));
    private static readonly FakeFile s_config = new("config.json", "{\"a\":1}"u8.ToArray(), IsLarge: false);
    private static readonly FakeFile s_weights = new("model.safetensors", FakeHub.RandomBytes(2, 30_000));
    private static readonly FakeFile s_empty = new("tokenizer.model", [], IsLarge: false);

    [Fact]
    public void A_file_comes_in_ranges_side_by_side_and_once()
    {
        using var world = new HubWorld(s_model, new FakeFile("README.md", [1], IsLarge: false));

        Manifest manifest = world.Pull();

        world.AssertHas(s_model);
        Assert.Equal(s_model.Contents.Length, world.Hub.BodyBytes);
        Assert.True(world.Hub.Requests.Count(r => r.Header("Range") is not null) > 4);
        Assert.Equal((FakeHub.Commit, "mit", "I2_S"), (manifest.Commit, manifest.Licence, manifest.Type));
        Assert.Empty(world.Unfinished());
        Assert.Equal("owner/model: model-I2_S.gguf (I2_S): the only GGUF file", world.Said[0]);
        Assert.Contains("cannot run it", Assert.Single(world.Said.Skip(1)), StringComparison.Ordinal);

        world.Hub.ForgetRequests();
        world.Pull();
        Assert.Equal(0, world.Hub.BodyBytes);
    }

    [Fact]
    public void A_checkpoint_becomes_a_directory()
    {
        using var world = new HubWorld(s_config, s_weights, s_empty, new FakeFile("pytorch_model.bin", [1, 2, 3]));

        world.Pull();

        world.AssertHas(s_config, s_weights, s_empty);
        Assert.Equal(3, Directory.EnumerateFiles(world.Store.PathOf(world.Store.Find(HubWorld.Name)!)).Count());
        world.Hub.ForgetRequests();
        world.Pull();
        Assert.Equal(0, world.Hub.BodyBytes);
    }

    [Fact]
    public void Everything_comes_when_everything_is_asked_for()
    {
        using var world = new HubWorld(s_model, s_config, new FakeFile("sub/dir/x.bin", [1, 2, 3]));

        world.Pull(allFiles: true);

        world.AssertHas(s_model, s_config, new FakeFile("sub/dir/x.bin", [1, 2, 3]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(999)]
    [InlineData(5_000)]
    public void A_connection_cut_after_every_k_bytes_costs_no_byte_twice(int k)
    {
        FakeFile file = k < 10 ? s_model with { Contents = s_model.Contents[..500] } : s_model;
        using var world = new HubWorld(file);
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { CutAfter = k };

        world.Pull();

        world.AssertHas(file);
        Assert.Equal(file.Contents.Length, world.Hub.BodyBytes);
    }

    /// <summary>A run that ends, here because it may try only once, leaves what it has to the next.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void A_run_that_ends_at_every_kth_range_goes_on_in_the_next_and_loads_nothing_again(int k)
    {
        using var world = new HubWorld(s_model);
        world.Settings = world.Settings with { Attempts = 1, Streams = 1, RangeBytesMax = 10_000 };
        int requests = 0;
        int runs = 1;
        world.Hub.Misbehave = (request, answer) =>
            request.Header("Range") is not null && Interlocked.Increment(ref requests) % k == 0 ? answer() with { CutAfter = 3_333 } : null;
        for (; ; runs++)
        {
            try
            {
                world.Pull();
                break;
            }
            catch (TernException e)
            {
                Assert.Contains("run the same command again", e.Message, StringComparison.Ordinal);
                Assert.Null(world.Store.Find(HubWorld.Name));
                Assert.NotEmpty(world.Unfinished());
                Assert.NotEmpty(StoreLeftovers.Find(world.Store, Assert.Fail));
            }
        }

        world.AssertHas(s_model);
        Assert.True(runs > 1, "no run was cut");
        Assert.Equal(s_model.Contents.Length, world.Hub.BodyBytes);
        Assert.Contains(world.Said, s => s.Contains("goes on at", StringComparison.Ordinal));
    }

    [Fact]
    public void What_an_earlier_run_left_is_not_trusted()
    {
        using var world = new HubWorld(s_model);
        world.Settings = world.Settings with { Attempts = 1, Streams = 1 };
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is { } range && range.StartsWith("bytes=50", StringComparison.Ordinal) ? answer() with { CutAfter = 10 } : null;
        world.PullFails();
        using (FileStream partial = File.Open(world.Store.Layout.Partial("sha256-" + s_model.Sha256), FileMode.Open))
        {
            partial.Position = 100;
            partial.WriteByte((byte)~s_model.Contents[100]);
        }

        world.Hub.Misbehave = null;
        world.Pull();

        world.AssertHas(s_model);
        Assert.Contains(world.Said, s => s.Contains("damaged", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{\"version\":1,\"length\":100000,\"etag\":null,\"done\":[[0,100000]]}")]
    [InlineData("{\"version\":1,\"length\":100000,\"etag\":null,\"done\":[[-5,9]]}")]
    [InlineData("{\"version\":1,\"length\":100000,\"etag\":null,\"done\":[[0,999999999999]]}")]
    [InlineData("{\"version\":1,\"length\":100000,\"etag\":null,\"done\":[7]}")]
    [InlineData("{\"version\":2}")]
    public void A_state_that_lies_or_is_damaged_ends_in_the_right_file(string state)
    {
        using var world = new HubWorld(s_model);
        Directory.CreateDirectory(world.Store.Layout.Blobs);
        File.WriteAllBytes(world.Store.Layout.Partial("sha256-" + s_model.Sha256), new byte[200_000]);
        File.WriteAllText(world.Store.Layout.State("sha256-" + s_model.Sha256), state);

        world.Pull();

        world.AssertHas(s_model);
        Assert.Empty(world.Unfinished());
    }

    [Fact]
    public void A_hub_that_lies_about_the_hash_gets_nothing_into_the_store()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Lie = new string('a', 64);

        TernException error = world.PullFails();

        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains(s_model.Sha256, error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(world.Store.Layout.Blobs));
    }

    [Fact]
    public void A_small_file_is_checked_by_gits_hash()
    {
        using var world = new HubWorld(s_config, s_weights);
        world.Hub.Misbehave = (request, answer) => request.Path.EndsWith("config.json", StringComparison.Ordinal) ? answer() with { Body = "{\"b\":2}"u8.ToArray() } : null;

        Assert.Contains(s_config.GitSha1, world.PullFails().Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, -1)]
    [InlineData(true, 1)]
    [InlineData(false, -1)]
    [InlineData(false, 1)]
    public void A_server_that_sends_fewer_or_more_bytes_than_promised_is_refused(bool isSized, int difference)
    {
        using var world = new HubWorld(s_model);
        world.Hub.HasRanges = false;
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with
        {
            Body = difference < 0 ? s_model.Contents[..^1] : [.. s_model.Contents, 7],
            IsUnsized = !isSized,
        };

        TernException error = world.PullFails();

        Assert.Contains(s_model.Contents.Length.ToString(CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(401, "HF_TOKEN")]
    [InlineData(403, "HF_TOKEN")]
    [InlineData(404, "not found")]
    [InlineData(418, "418")]
    public void A_refusal_says_what_would_help_and_is_not_tried_again(int status, string expected)
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (_, _) => new FakeAnswer(status, []);

        TernException error = world.PullFails();

        Assert.Equal(ErrorKind.File, error.Kind);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Single(world.Hub.Requests);
    }

    [Fact]
    public void A_file_that_is_not_there_is_answered_with_those_that_are()
    {
        using var world = new HubWorld(s_model, s_config);

        Assert.Contains("model-I2_S.gguf", world.PullFails(HubWorld.Name + ":absent.gguf").Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("17", 17)]
    [InlineData("Fri, 02 Jan 2026 03:04:25 GMT", 20)]
    [InlineData("Fri, 02 Jan 2026 03:04:00 GMT", 0)]
    public void A_busy_hub_is_left_alone_for_as_long_as_it_asks(string retryAfter, int seconds)
    {
        using var world = new HubWorld(s_model);
        int count = 0;
        world.Hub.Misbehave = (_, _) => Interlocked.Increment(ref count) is 1 or 3 ? new FakeAnswer(count == 1 ? 429 : 503, []) { Headers = { ["Retry-After"] = retryAfter } } : null;

        world.Pull();

        world.AssertHas(s_model);
        TimeSpan[] expected = seconds == 0 ? [] : [TimeSpan.FromSeconds(seconds), TimeSpan.FromSeconds(seconds)];
        Assert.Equal(expected, world.Clock.Waits);
        Assert.Equal(expected.Length, world.Said.Count(s => s.EndsWith($"trying again in {seconds} s", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_hub_that_asks_for_an_hour_is_not_waited_for()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (_, _) => new FakeAnswer(429, []) { Headers = { ["Retry-After"] = "3600" } };

        Assert.Contains("3600 s", world.PullFails().Message, StringComparison.Ordinal);
        Assert.Empty(world.Clock.Waits);
    }

    [Fact]
    public void A_broken_hub_is_tried_again_after_longer_and_longer_waits_and_then_given_up()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (_, _) => new FakeAnswer(503, []);

        Assert.Contains("503", world.PullFails().Message, StringComparison.Ordinal);
        Assert.Equal(world.Settings.Attempts, world.Hub.Requests.Count);
        TimeSpan[] waits = [.. world.Clock.Waits];
        Assert.Equal(world.Settings.Attempts - 1, waits.Length);
        for (int i = 0; i < waits.Length; i++)
            Assert.InRange(waits[i].TotalSeconds, 0.25 * Math.Pow(2, i), 0.5 * Math.Pow(2, i));
    }

    [Fact]
    public void The_token_goes_to_the_hub_and_not_to_the_host_it_redirects_to()
    {
        using var world = new HubWorld(s_model);
        using var storage = new FakeHub();
        storage.Repositories[HubWorld.Name] = [s_model];
        world.Hub.Storage = new Uri($"http://localhost:{storage.Port}/");
        world.Settings = world.Settings with { Token = "hf_secret" };

        world.Pull();

        world.AssertHas(s_model);
        Assert.All(world.Hub.Requests, r => Assert.Equal("Bearer hf_secret", r.Header("Authorization")));
        Assert.NotEmpty(storage.Requests);
        Assert.All(storage.Requests, r => Assert.Null(r.Header("Authorization")));
        Assert.All(world.Said, s => Assert.DoesNotContain("hf_secret", s, StringComparison.Ordinal));

        // Once the storage host is known it is asked itself.
        Assert.True(world.Hub.Requests.Count < storage.Requests.Count, "the hub was asked for every range");
    }

    [Theory]
    [InlineData("https://hub.test", "https://hub.test/x", true)]
    [InlineData("https://hub.test", "https://HUB.test:443/x", true)]
    [InlineData("https://hub.test", "http://hub.test/x", false)]
    [InlineData("https://hub.test", "https://hub.test:444/x", false)]
    [InlineData("https://hub.test", "https://cdn.hub.test/x", false)]
    [InlineData("https://hub.test", "https://hub.test.evil.test/x", false)]
    [InlineData("http://127.0.0.1:80", "http://localhost:80/x", false)]
    public void Only_the_hubs_own_host_gets_the_token(string hub, string target, bool expected) =>
        Assert.Equal(expected, HubClient.MayCarryToken(new Uri(hub), new Uri(target)));

    [Theory]
    [InlineData("https://hub.test/a/b", "/c/d", "https://hub.test/c/d")]
    [InlineData("https://hub.test/a", "https://cdn.test/x?y", "https://cdn.test/x?y")]
    [InlineData("https://hub.test/a", "http://hub.test/a", null)]
    [InlineData("https://hub.test/a", "file:///etc/passwd", null)]
    [InlineData("https://hub.test/a", null, null)]
    public void Redirects_lead_on_over_http_and_never_down_from_https(string from, string? location, string? expected)
    {
        Uri? to = location is null ? null : new Uri(location, UriKind.RelativeOrAbsolute);
        if (expected is null)
            Assert.Throws<TernException>(() => HubClient.NextHop(new Uri(from), to));
        else
            Assert.Equal(expected, HubClient.NextHop(new Uri(from), to).AbsoluteUri);
    }

    [Fact]
    public void A_redirect_that_never_ends_is_an_error()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (request, _) => new FakeAnswer(307, []) { Headers = { ["Location"] = request.Path } };

        Assert.Contains("redirects", world.PullFails().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_renamed_repository_is_followed()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Repositories["new/name"] = [s_model];
        world.Hub.Repositories.TryRemove(HubWorld.Name, out _);
        world.Hub.Misbehave = (request, _) =>
            request.Path.Contains(HubWorld.Name, StringComparison.Ordinal) ? new FakeAnswer(307, []) { Headers = { ["Location"] = request.Path.Replace(HubWorld.Name, "new/name", StringComparison.Ordinal) } } : null;

        world.Pull();

        world.AssertHas(s_model);
    }

    [Fact]
    public void Signed_addresses_that_run_out_are_asked_for_again()
    {
        using var world = new HubWorld(s_model);
        using var storage = new FakeHub();
        storage.Repositories[HubWorld.Name] = [s_model];
        world.Hub.Storage = storage.Address;
        int count = 0;
        storage.Misbehave = (_, _) => Interlocked.Increment(ref count) % 5 == 0 ? new FakeAnswer(403, []) : null;
        world.Settings = world.Settings with { Streams = 2 };

        world.Pull();

        world.AssertHas(s_model);
        Assert.Equal(s_model.Contents.Length, storage.BodyBytes);
    }

    [Fact]
    public void A_server_without_ranges_sends_the_file_in_one_stream()
    {
        using var world = new HubWorld(s_model);
        world.Hub.HasRanges = false;

        world.Pull();

        world.AssertHas(s_model);
        Assert.Equal(s_model.Contents.Length, world.Hub.BodyBytes);
    }

    [Fact]
    public void A_server_without_ranges_that_cuts_begins_again()
    {
        using var world = new HubWorld(s_model);
        world.Hub.HasRanges = false;
        int count = 0;
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is not null && Interlocked.Increment(ref count) < 4 ? answer() with { CutAfter = 60_000 } : null;

        world.Pull();

        world.AssertHas(s_model);
        Assert.Equal((3 * 60_000) + s_model.Contents.Length, world.Hub.BodyBytes);
    }

    [Fact]
    public void A_server_that_has_ranges_after_a_cut_only_is_used_as_it_is()
    {
        using var world = new HubWorld(s_model);
        world.Hub.HasRanges = false;
        world.Hub.Misbehave = (request, answer) =>
        {
            if (request.Header("Range") is null || world.Hub.HasRanges)
                return null;
            FakeAnswer first = answer() with { CutAfter = 60_000 };
            world.Hub.HasRanges = true;
            return first;
        };

        world.Pull();

        world.AssertHas(s_model);
        Assert.InRange(world.Hub.BodyBytes, s_model.Contents.Length, s_model.Contents.Length + 60_000);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void A_file_whose_version_changes_midway_begins_anew(int after)
    {
        using var world = new HubWorld(s_model);
        int count = 0;
        world.Hub.ETag = _ => Volatile.Read(ref count) > after ? "\"new\"" : "\"old\"";
        world.Hub.Misbehave = (request, answer) =>
        {
            if (request.Header("Range") is not null)
                Interlocked.Increment(ref count);
            return null;
        };

        world.Pull();

        world.AssertHas(s_model);
        Assert.True(world.Hub.BodyBytes > s_model.Contents.Length);
    }

    [Fact]
    public void A_version_that_changes_all_the_time_is_given_up()
    {
        using var world = new HubWorld(s_model);
        int count = 0;
        world.Hub.ETag = _ => $"\"{Interlocked.Increment(ref count)}\"";

        Assert.Contains("again and again", world.PullFails().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_range_beyond_the_end_begins_anew()
    {
        using var world = new HubWorld(s_model);
        int count = 0;
        world.Hub.Misbehave = (request, _) => request.Header("Range") is not null && Interlocked.Increment(ref count) == 3 ? new FakeAnswer(416, []) : null;

        world.Pull();

        world.AssertHas(s_model);
    }

    [Fact]
    public void A_range_that_is_another_one_than_asked_for_is_not_written()
    {
        using var world = new HubWorld(s_model);
        int count = 0;
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is not null && Interlocked.Increment(ref count) == 2
            ? answer() with { Headers = new() { ["Content-Range"] = "bytes 5-9/100000" } }
            : null;

        world.Pull();

        world.AssertHas(s_model);
    }

    [Fact]
    public void A_range_that_stands_still_is_asked_for_again()
    {
        using var world = new HubWorld(s_model);
        world.Settings = world.Settings with { StallTimeout = TimeSpan.FromMilliseconds(300) };
        int count = 0;
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is not null && Interlocked.Increment(ref count) == 2 ? answer() with { StallAfter = 100 } : null;

        world.Pull();

        world.AssertHas(s_model);
        Assert.Equal(s_model.Contents.Length, world.Hub.BodyBytes);
    }

    [Fact]
    public void A_slow_server_that_moves_is_not_cut()
    {
        FakeFile file = s_model with { Contents = s_model.Contents[..1_000] };
        using var world = new HubWorld(file);
        world.Settings = world.Settings with { StallTimeout = TimeSpan.FromMilliseconds(600), Streams = 1 };
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { Drip = (100, TimeSpan.FromMilliseconds(100)) };

        world.Pull();

        world.AssertHas(file);
        Assert.Single(world.Hub.Requests, r => r.Header("Range") is not null);
        Assert.Empty(world.Clock.Waits);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_mirror_that_lists_no_hashes_is_asked_for_headers(bool listsSizes)
    {
        using var world = new HubWorld(s_config, s_weights);
        world.Hub.ListsBlobs = listsSizes;
        world.Hub.ListsSha256 = false;

        world.Pull();

        world.AssertHas(s_config, s_weights);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("{\"sha\":\"abcdef0\",\"siblings\":[{}]}")]
    [InlineData("{\"sha\":\"../../x\",\"siblings\":[]}")]
    [InlineData("{\"sha\":\"abcdef0\",\"siblings\":[{\"rfilename\":\"a.gguf\",\"size\":-1}]}")]
    [InlineData("{\"sha\":\"abcdef0\",\"siblings\":[{\"rfilename\":\"a.gguf\",\"lfs\":{\"sha256\":\"../../x\"}}]}")]
    [InlineData("{\"sha\":\"abcdef0\",\"siblings\":[{\"rfilename\":\"a.gguf\",\"blobId\":\"../../x\"}]}")]
    public void An_answer_that_is_no_list_is_refused(string body)
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (_, _) => new FakeAnswer(200, System.Text.Encoding.UTF8.GetBytes(body));

        Assert.Equal(ErrorKind.Format, world.PullFails().Kind);
    }

    [Theory]
    [InlineData("../evil.gguf")]
    [InlineData("a/../../evil.gguf")]
    [InlineData("/evil.gguf")]
    [InlineData("C:\\evil.gguf")]
    [InlineData("aux.gguf")]
    public void A_hostile_name_from_the_hub_is_refused_before_anything_is_downloaded(string name)
    {
        using var world = new HubWorld(new FakeFile(name, [1, 2, 3]));

        Assert.Equal(ErrorKind.Unsupported, world.PullFails().Kind);
        Assert.Equal(0, world.Hub.BodyBytes);
        Assert.Equal(["store"], Directory.EnumerateFileSystemEntries(world.Folder).Select(Path.GetFileName).DefaultIfEmpty("store"));
    }

    [Fact]
    public void A_file_that_the_disk_has_no_room_for_is_not_begun()
    {
        using var world = new HubWorld(s_model);
        world.Hub.Misbehave = (request, answer) => request.Path.StartsWith("/api/", StringComparison.Ordinal)
            ? new FakeAnswer(200, System.Text.Encoding.UTF8.GetBytes($$$"""{"sha":"abcdef0","siblings":[{"rfilename":"a.gguf","lfs":{"sha256":"{{{s_model.Sha256}}}","size":17592186044416}}]}"""))
            : null;

        TernException error = world.PullFails();

        Assert.Contains("17592186044416 bytes (17.6 TB) are needed", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, world.Hub.BodyBytes);
    }

    [Fact]
    public void Offline_nothing_is_asked()
    {
        using var world = new HubWorld(s_model);
        world.Settings = world.Settings with { Offline = true };

        Assert.Contains("offline", world.PullFails().Message, StringComparison.Ordinal);
        Assert.Empty(world.Hub.Requests);
    }

    [Fact]
    public void A_new_version_replaces_the_old_one()
    {
        using var world = new HubWorld(s_model);
        world.Pull();
        string old = world.Store.PathOf(world.Store.Find(HubWorld.Name)!);
        FakeFile next = s_model with { Contents = FakeHub.RandomBytes(9, 50_000) };
        world.Hub.Repositories[HubWorld.Name] = [next];

        world.Pull();

        world.AssertHas(next);
        Assert.False(File.Exists(old));
    }
}
